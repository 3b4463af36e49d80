import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Handle } from '@sallyport/core'
import { bindingName } from './channel-binding.ts'

/** The server's half of SCRAM-SHA-256 (RFC 5802, RFC 7677), inside TLS bound to it by `tls-server-end-point` where the client can. */

const plain = 'SCRAM-SHA-256'
const bound = 'SCRAM-SHA-256-PLUS'
const messageBytesMax = 2_048
const nonceBytes = 18

/** What is offered, best first. `binding`: what there is to bind to, null outside TLS. */
export function offerMechanisms(binding: Buffer | null): readonly string[] {
  return binding === null ? [plain] : [bound, plain]
}

export interface ClientFirst {
  readonly header: string
  /** What the client must repeat in its last message: the header, and what it is bound to. */
  readonly repeated: Buffer
  readonly bare: string
  readonly nonce: string
}

/**
 * Reads SASLInitialResponse (its body after the type byte and length); null when it is not what we offered. A client that could bind and says
 * that we can't (`y`) was lied to by whoever is between us.
 */
export function readInitialResponse(body: Buffer, binding: Buffer | null): ClientFirst | null {
  if (body.length > messageBytesMax) return null
  const nameEnd = body.indexOf(0)
  if (nameEnd === -1 || nameEnd + 5 > body.length) return null
  const mechanism = body.toString('latin1', 0, nameEnd)
  if (!offerMechanisms(binding).includes(mechanism)) return null
  const length = body.readInt32BE(nameEnd + 1)
  if (length < 0 || nameEnd + 5 + length !== body.length) return null
  const match = /^([ny]|p=[a-z-]{1,64}),,(n=[^,]*,r=([\x21-\x2b\x2d-\x7e]{1,256}))$/.exec(body.toString('utf8', nameEnd + 5))
  const [, flag, bare, nonce] = match ?? []
  if (flag === undefined || bare === undefined || nonce === undefined) return null
  const isBound = mechanism === bound
  if (isBound !== (flag === `p=${bindingName}`) || (!isBound && flag.startsWith('p')) || (binding !== null && flag === 'y'))
    return null
  const header = `${flag},,`
  const repeated = Buffer.concat([Buffer.from(header), isBound && binding !== null ? binding : Buffer.alloc(0)])
  return { header, repeated, bare, nonce }
}

export interface Challenge {
  readonly message: string
  readonly nonce: string
}

export function makeChallenge(first: ClientFirst, parameters: { readonly salt: string; readonly iterations: number }): Challenge {
  const nonce = first.nonce + randomBytes(nonceBytes).toString('base64')
  return { message: `r=${nonce},s=${parameters.salt},i=${parameters.iterations}`, nonce }
}

export interface Proven {
  readonly handle: Handle
  /** The server's signature, for the last message. */
  readonly message: string
}

/** Which of the candidates the client proved to hold; null for none. Every candidate is compared, in constant time. */
export function checkProof(
  first: ClientFirst,
  challenge: Challenge,
  final: Buffer,
  candidates: readonly Handle[],
): Proven | null {
  if (final.length > messageBytesMax) return null
  const match = /^(c=([A-Za-z0-9+/=]+),r=([^,]+)),p=([A-Za-z0-9+/=]+)$/.exec(final.toString('utf8'))
  const [, withoutProof, binding, nonce, proofText] = match ?? []
  if (withoutProof === undefined || binding === undefined || nonce === undefined || proofText === undefined) return null
  if (nonce !== challenge.nonce || !isEqual(Buffer.from(binding, 'base64'), first.repeated)) return null
  const proof = Buffer.from(proofText, 'base64')
  if (proof.length !== 32) return null
  const message = `${first.bare},${challenge.message},${withoutProof}`
  let proven: Proven | null = null
  for (const handle of candidates) {
    const storedKey = Buffer.from(handle.scram.storedKey, 'base64')
    if (storedKey.length !== 32) continue
    const signature = createHmac('sha256', storedKey).update(message).digest()
    const clientKey = Buffer.from(proof.map((byte, index) => byte ^ (signature[index] ?? 0)))
    const matches = timingSafeEqual(createHash('sha256').update(clientKey).digest(), storedKey)
    if (!matches) continue
    const serverSignature = createHmac('sha256', Buffer.from(handle.scram.serverKey, 'base64')).update(message).digest('base64')
    proven = { handle, message: `v=${serverSignature}` }
  }
  return proven
}

function isEqual(left: Buffer, right: Buffer): boolean {
  return left.length === right.length && timingSafeEqual(left, right)
}
