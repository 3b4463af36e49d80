import { createHash } from 'node:crypto'
import type { JWTPayload } from 'jose'
import type { PublicKey } from './issuer-keys.ts'

/** Whose tokens are taken, and with which claims: all of them, compared exactly. */
export interface Workload {
  readonly issuer: string
  readonly audience: string
  /** Each of them may be. */
  readonly subject: readonly string[]
  readonly claims: { readonly [name: string]: readonly (string | number | boolean)[] }
  readonly tokenLife: number
}

/** A token that an issuer signed for us, and what of it was asked for. */
export interface ProvenToken {
  readonly issuer: string
  readonly subject: string
  readonly expiresAtMs: number
  /** The claims that matched, by name. */
  readonly matched: { readonly [name: string]: string | number | boolean }
  /** What it is known by when it comes again: what was signed, and the name that the issuer gave it. */
  readonly names: readonly string[]
}

const tokenBytesMax = 8 * 1024
/** Clocks of issuers and ours may differ by this much. */
const skewMs = 60_000

/** Signatures by a key pair only: with a secret, whoever verifies could have made it; `none` is no signature. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

/** What starts a run of GitHub's that only those start who may write to the branch. In others, a stranger's words or code may run. */
const ownEvents = ['push', 'schedule', 'workflow_dispatch', 'release']

/** Loaded by the first token that comes: most gates have no workload. */
const loadJose = (): Promise<typeof import('jose')> => import('jose')

/** Why a token was not taken: for the log. It never holds anything of the token but names of claims. */
export class TokenRefused extends Error {}

/** What it says of itself, before anything of it is proven: by which issuer's keys it has to be. @throws TokenRefused */
export async function readClaimed(token: string): Promise<{ readonly issuer: string; readonly keyId: string | undefined }> {
  if (token.length > tokenBytesMax || !/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(token))
    throw new TokenRefused(`it is no signed JWT of at most ${tokenBytesMax} bytes`)
  const { decodeJwt, decodeProtectedHeader } = await loadJose()
  try {
    const { alg = '', kid } = decodeProtectedHeader(token)
    if (!algorithms.includes(alg)) throw new TokenRefused('its algorithm is not one of those that are taken')
    if (kid !== undefined && (typeof kid !== 'string' || kid.length > 512)) throw new TokenRefused('its kid is no short text')
    return { issuer: decodeJwt(token).iss ?? '', keyId: kid }
  } catch (error) {
    throw error instanceof TokenRefused ? error : new TokenRefused('its header or its claims are no JSON object')
  }
}

/** Signature, audience and time, then the claims. @throws TokenRefused */
export async function proveToken(token: string, key: PublicKey, workload: Workload, nowMs: number): Promise<ProvenToken> {
  const payload = await verify(token, key, workload, nowMs)
  const { iat, exp, sub, aud, jti } = payload
  // A token for several could have been shown here by any of the others.
  if (aud !== workload.audience && !(Array.isArray(aud) && aud.length === 1 && aud[0] === workload.audience))
    throw new TokenRefused('its audience is not this gate alone')
  if (typeof iat !== 'number' || typeof exp !== 'number') throw new TokenRefused('it says no iat or no exp')
  if (iat * 1000 > nowMs + skewMs) throw new TokenRefused('it was made in the future')
  if ((exp - iat) * 1000 > workload.tokenLife) throw new TokenRefused('it lives longer than tokenLife allows')
  if (typeof sub !== 'string' || !workload.subject.includes(sub)) throw new TokenRefused('its sub is another')
  if (jti !== undefined && typeof jti !== 'string') throw new TokenRefused('its jti is no text')
  const signed = token.slice(0, token.lastIndexOf('.'))
  return {
    issuer: workload.issuer,
    subject: sub,
    expiresAtMs: exp * 1000,
    matched: matchClaims(payload, workload),
    names: [signed, ...(jti === undefined ? [] : [JSON.stringify([workload.issuer, jti])])].map(hash),
  }
}

async function verify(token: string, key: PublicKey, { issuer, audience }: Workload, nowMs: number): Promise<JWTPayload> {
  const { decodeProtectedHeader, importJWK, jwtVerify } = await loadJose()
  const { alg = '' } = decodeProtectedHeader(token)
  if (key.alg !== undefined && key.alg !== alg) throw new TokenRefused('its key is for another algorithm')
  try {
    const { payload } = await jwtVerify(token, await importJWK({ ...key }, alg), {
      algorithms,
      issuer,
      audience,
      currentDate: new Date(nowMs),
      clockTolerance: skewMs / 1000,
      requiredClaims: ['iss', 'aud', 'sub', 'exp', 'iat'],
    })
    return payload
  } catch (error) {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined
    throw new TokenRefused(
      `its signature, issuer, audience or time do not hold (${typeof code === 'string' ? code : 'unreadable'})`,
    )
  }
}

function matchClaims(payload: JWTPayload, { claims }: Workload): ProvenToken['matched'] {
  const claimed = new Map<string, unknown>(Object.entries(payload))
  const event = claimed.get('event_name')
  // pull_request and its like carry the repository's own name, and with pull_request_target even the main branch's ref.
  if (event !== undefined && !Object.hasOwn(claims, 'event_name') && !ownEvents.some((own) => own === event))
    throw new TokenRefused('its event_name is one that others can cause, and the configuration does not name it')
  const matched = new Map<string, string | number | boolean>()
  for (const [name, allowed] of Object.entries(claims)) {
    const fitting = allowed.find((value) => value === claimed.get(name))
    if (fitting === undefined) throw new TokenRefused(`its claim ${name} is another`)
    matched.set(name, fitting)
  }
  return Object.fromEntries(matched)
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
