import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

/** The client's half of SCRAM-SHA-256 (RFC 5802, RFC 7677), towards upstreams. */

const derive = promisify(pbkdf2)
/** A server that asks for more rounds than this only wants our CPU. */
const iterationsMax = 1_000_000

export interface ScramStart {
  readonly nonce: string
  readonly message: string
}

export function startScram(): ScramStart {
  const nonce = randomBytes(18).toString('base64')
  return { nonce, message: `n,,n=,r=${nonce}` }
}

export interface ScramAnswer {
  readonly message: string
  /** True when the server proved that it knows the password too. */
  accepts(serverFinal: string): boolean
}

/** Null when the server's challenge is not one for our nonce. */
export async function answerScram(start: ScramStart, challenge: string, password: string): Promise<ScramAnswer | null> {
  const match = /^r=([^,]+),s=([A-Za-z0-9+/=]+),i=(\d{1,9})$/.exec(challenge)
  const [, nonce, salt, rounds] = match ?? []
  if (nonce === undefined || salt === undefined || rounds === undefined) return null
  const iterations = Number(rounds)
  if (!nonce.startsWith(start.nonce) || nonce.length <= start.nonce.length || iterations < 1 || iterations > iterationsMax)
    return null
  const salted = await derive(password.normalize('NFKC'), Buffer.from(salt, 'base64'), iterations, 32, 'sha256')
  const clientKey = createHmac('sha256', salted).update('Client Key').digest()
  const storedKey = createHash('sha256').update(clientKey).digest()
  const withoutProof = `c=biws,r=${nonce}`
  const message = `n=,r=${start.nonce},${challenge},${withoutProof}`
  const signature = createHmac('sha256', storedKey).update(message).digest()
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] ?? 0)))
  const serverKey = createHmac('sha256', salted).update('Server Key').digest()
  const expected = createHmac('sha256', serverKey).update(message).digest()
  return {
    message: `${withoutProof},p=${proof.toString('base64')}`,
    accepts: (final) => {
      const given = Buffer.from(/^v=([A-Za-z0-9+/=]+)/.exec(final)?.[1] ?? '', 'base64')
      return given.length === expected.length && timingSafeEqual(given, expected)
    },
  }
}
