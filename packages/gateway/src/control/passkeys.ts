import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'
import type { Json } from '@sallyport/core'
import { z } from 'zod'
import { checkModel, trustMakers, unproven, type AttestationRule } from './attestation.ts'
import type { Passkey, People, Person } from './ports.ts'

/** Passkeys belong to this name; a page must be opened under it. */
const rpId = 'localhost'
const promptMs = 60_000
/** COSE: EdDSA, ES256, RS256. Named, because the library's own list depends on what the runtime can do. */
const algorithms = [-8, -7, -257]

/** Loaded when the first person comes: it would be a quarter of what a gate's start takes. */
const webauthn = (): Promise<typeof import('@simplewebauthn/server')> => import('@simplewebauthn/server')

const base64url = (max: number): z.ZodString =>
  z
    .string()
    .max(max)
    .regex(/^[A-Za-z0-9_-]+$/)

/** A passkey's signature as a browser sends it, bounded. */
export const assertionShape = z.strictObject({
  id: base64url(1400),
  rawId: base64url(1400),
  type: z.literal('public-key'),
  response: z.strictObject({
    clientDataJSON: base64url(8192),
    authenticatorData: base64url(8192),
    signature: base64url(8192),
    userHandle: base64url(128).optional(),
  }),
})
export type Assertion = z.infer<typeof assertionShape>

/** A new passkey as a browser sends it, bounded. */
export const registrationShape = z.strictObject({
  id: base64url(1400),
  rawId: base64url(1400),
  type: z.literal('public-key'),
  response: z.strictObject({
    clientDataJSON: base64url(8192),
    attestationObject: base64url(32_768),
    transports: z.array(z.string().max(32)).max(8),
  }),
})
export type Registration = z.infer<typeof registrationShape>

function toBase64url(challengeHex: string): string {
  return Buffer.from(challengeHex, 'hex').toString('base64url')
}

/** What `navigator.credentials.get` needs. Without `passkeys`, the person picks among those on the device. */
export function assertionOptions(challengeHex: string, passkeys: readonly Passkey[] = []): Json {
  return {
    challenge: toBase64url(challengeHex),
    rpId,
    timeout: promptMs,
    userVerification: 'required',
    allowCredentials: passkeys.map(({ credentialId, transports }) => ({ id: credentialId, type: 'public-key', transports })),
  }
}

/** What `navigator.credentials.create` needs. A device that holds somebody's passkey can't become a second person. */
export async function registrationOptions(
  person: { readonly name: string; readonly userHandle: string },
  challengeHex: string,
  people: readonly Person[],
  rule: AttestationRule | null = null,
): Promise<PublicKeyCredentialCreationOptionsJSON> {
  const { generateRegistrationOptions } = await webauthn()
  return generateRegistrationOptions({
    rpName: 'Sallyport',
    rpID: rpId,
    userName: person.name,
    userDisplayName: person.name,
    userID: new Uint8Array(Buffer.from(person.userHandle, 'base64url')),
    challenge: new Uint8Array(Buffer.from(challengeHex, 'hex')),
    timeout: promptMs,
    attestationType: rule === null ? 'none' : 'direct',
    excludeCredentials: people.flatMap(({ passkeys }) =>
      passkeys.map(({ credentialId, transports }) => ({ id: credentialId, transports: [...transports] })),
    ),
    supportedAlgorithmIDs: algorithms,
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
  })
}

/**
 * The new passkey, or null when it does not answer this challenge from this origin with the person verified, or what vouches for it is wrong.
 * @throws Refused for a model that is not let in
 */
export async function verifyRegistration(
  registration: Registration,
  challengeHex: string,
  origin: string,
  nowMs: number,
  rule: AttestationRule | null = null,
): Promise<Passkey | null> {
  const { id, rawId, type, response } = registration
  const asked: RegistrationResponseJSON = { id, rawId, type, response: { ...response }, clientExtensionResults: {} }
  const { verifyRegistrationResponse } = await webauthn()
  if (rule !== null) await trustMakers(rule)
  const verified = await verifyRegistrationResponse({
    response: asked,
    expectedChallenge: toBase64url(challengeHex),
    expectedOrigin: origin,
    expectedRPID: rpId,
    supportedAlgorithmIDs: algorithms,
    requireUserVerification: true,
  }).catch(() => null)
  if (rule !== null && !verified?.verified) throw unproven()
  if (!verified?.verified) return null
  const { credential, credentialDeviceType, aaguid } = verified.registrationInfo
  if (rule !== null) await checkModel(rule, verified.registrationInfo)
  return {
    credentialId: credential.id,
    publicKey: Buffer.from(credential.publicKey).toString('base64url'),
    counter: credential.counter,
    transports: response.transports.filter((transport) => /^[a-z-]{1,32}$/.test(transport)),
    name: '',
    synced: credentialDeviceType === 'multiDevice',
    aaguid,
    addedAtMs: nowMs,
  }
}

const clientDataShape = z.object({ crossOrigin: z.boolean().optional() })

/** True when the page that asked was framed by another: ours never is. */
function isFramed(clientDataJSON: string): boolean {
  try {
    return clientDataShape.parse(JSON.parse(Buffer.from(clientDataJSON, 'base64url').toString())).crossOrigin === true
  } catch {
    return true
  }
}

export type Verified =
  | { readonly result: 'verified'; readonly credentialId: string; readonly evidence: Json }
  | { readonly result: 'refused'; readonly why: string }
  /** The signature is good, but its counter was seen before: two authenticators hold one key. */
  | { readonly result: 'cloned'; readonly credentialId: string; readonly why: string }

/** Verifies a signature by one of `passkeys` over exactly this challenge, then moves the counter on. */
export async function verifyAssertion(
  people: People,
  passkeys: readonly Passkey[],
  assertion: Assertion,
  challengeHex: string,
  origin: string,
): Promise<Verified> {
  const passkey = passkeys.find(({ credentialId }) => credentialId === assertion.id)
  if (!passkey) return { result: 'refused', why: 'This passkey is not one of yours.' }
  if (isFramed(assertion.response.clientDataJSON))
    return { result: 'refused', why: 'The signature was asked for inside another page.' }
  const { id, rawId, type } = assertion
  const { userHandle, ...signed } = assertion.response
  const response: AuthenticationResponseJSON = {
    id,
    rawId,
    type,
    response: userHandle === undefined ? signed : { ...signed, userHandle },
    clientExtensionResults: {},
  }
  const { verifyAuthenticationResponse } = await webauthn()
  const verified = await verifyAuthenticationResponse({
    response,
    expectedChallenge: toBase64url(challengeHex),
    expectedOrigin: origin,
    expectedRPID: rpId,
    requireUserVerification: true,
    // The library looks at the counter before the signature; then a forged answer could raise the alarm. We look after it.
    credential: { id: passkey.credentialId, publicKey: new Uint8Array(Buffer.from(passkey.publicKey, 'base64url')), counter: 0 },
  }).catch(() => null)
  if (!verified?.verified || !verified.authenticationInfo.userVerified) {
    return { result: 'refused', why: 'The signature does not fit what was asked, this page, or a verified person.' }
  }
  const counter = verified.authenticationInfo.newCounter
  const moves = counter > 0 || passkey.counter > 0
  if (moves && counter <= passkey.counter) {
    return { result: 'cloned', credentialId: id, why: 'This passkey’s counter went backwards: it may have been copied.' }
  }
  if (moves && !(await people.advanceCounter(id, passkey.counter, counter))) {
    return { result: 'refused', why: 'This passkey was used elsewhere at the same moment.' }
  }
  return {
    result: 'verified',
    credentialId: id,
    evidence: { rpId, origin, publicKey: passkey.publicKey, counter, id, response: { ...response.response } },
  }
}
