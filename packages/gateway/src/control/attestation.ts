import type { VerifiedRegistrationResponse } from '@simplewebauthn/server'
import { Refused } from './answer.ts'

/** Which models of passkeys are let in, and whose certificates vouch for that. */
export interface AttestationRule {
  readonly models: ReadonlySet<string>
  /** PEM of the makers' roots. */
  readonly authorities: readonly string[]
}

/** Statements that a maker's certificate can stand behind. The others (`none`, and a model that vouches for itself) anybody's program can write. */
const vouchedFormats = ['packed', 'tpm', 'android-key', 'apple'] as const

type Vouched = NonNullable<VerifiedRegistrationResponse['registrationInfo']>

/** Only the makers named count, for every format: the library would take a statement by whom it knows no root at its word. */
export async function trustMakers({ authorities }: AttestationRule): Promise<void> {
  const { SettingsService } = await import('@simplewebauthn/server')
  for (const identifier of vouchedFormats) SettingsService.setRootCertificates({ identifier, certificates: [...authorities] })
}

/** @throws Refused unless a maker's certificate vouches that the passkey is of a model on the list. Called with what was verified under `trustMakers`. */
export async function checkModel({ models }: AttestationRule, { fmt, aaguid, attestationObject }: Vouched): Promise<void> {
  const isVouched = vouchedFormats.some((format) => format === fmt) && (await hasCertificates(attestationObject))
  if (isVouched && models.has(aaguid.toLowerCase())) return
  const why = isVouched
    ? `Passkeys of this model (${aaguid}) are not let in here.`
    : 'Nothing proves which model this passkey is: its device or browser sends no maker’s statement.'
  throw new Refused(
    403,
    'authentication_failed',
    why,
    'It was not taken.',
    'Use a security key of a model that your team’s sallyport.yaml lists under people.attestation, and let the browser show its make.',
  )
}

/** It did not verify: perhaps its maker is none of those who are trusted here. */
export function unproven(): Refused {
  return new Refused(
    403,
    'authentication_failed',
    'The passkey does not fit this page, did not verify you, or its maker’s statement is by nobody who is trusted here.',
    'It was not taken.',
    'Use a security key of a model that your team’s sallyport.yaml lists under people.attestation.',
  )
}

async function hasCertificates(attestationObject: Uint8Array): Promise<boolean> {
  const { decodeAttestationObject } = await import('@simplewebauthn/server/helpers')
  const certificates: unknown = decodeAttestationObject(new Uint8Array(attestationObject)).get('attStmt').get('x5c')
  return Array.isArray(certificates) && certificates.length > 0
}
