import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { bindingName } from '../../protocols/postgres/channel-binding.ts'

/** The client's half of SCRAM-SHA-256 (RFC 5802, RFC 7677), towards upstreams; inside TLS bound to it where the server can. */

const plain = 'SCRAM-SHA-256'
const bound = 'SCRAM-SHA-256-PLUS'
const derive = promisify(pbkdf2)
/** A server that asks for more rounds than this only wants our CPU. */
const iterationsMax = 1_000_000

export interface ScramStart {
  readonly mechanism: string
  readonly nonce: string
  /** What the first message begins with: whether we bind, and to what. */
  readonly header: string
  /** What the last message repeats: the header, and what we are bound to. */
  readonly repeated: Buffer
  readonly message: string
}

/**
 * @param offered the server's mechanisms
 * @param binding what our end of TLS saw of the server's certificate; null outside TLS. With it, a server that offers no binding is told so, and one
 *   that does offer it while somebody between us hid that will refuse.
 * @returns null when it offers nothing that we speak
 */
export function startScram(offered: readonly string[], binding: Buffer | null): ScramStart | null {
  if (binding !== null && offered.includes(bound)) return begin(bound, `p=${bindingName},,`, binding)
  if (!offered.includes(plain)) return null
  return begin(plain, binding === null ? 'n,,' : 'y,,', Buffer.alloc(0))
}

/** Outside TLS, with a server that offers nothing else. */
export function startPlainScram(): ScramStart {
  return begin(plain, 'n,,', Buffer.alloc(0))
}

function begin(mechanism: string, header: string, binding: Buffer): ScramStart {
  const nonce = randomBytes(18).toString('base64')
  const repeated = Buffer.concat([Buffer.from(header), binding])
  return { mechanism, nonce, header, repeated, message: `${header}n=,r=${nonce}` }
}

export interface ScramAnswer {
  readonly message: string
  /** True when the server proved that it knows the password too. */
  accepts(serverFinal: string): boolean
}

interface ScramKeys {
  readonly clientKey: Buffer
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

/** A password, and what was derived of it for the salt and rounds asked for last: deriving takes milliseconds, and a server asks for the same. */
export class ScramSecret {
  readonly #password: string
  #about = ''
  #keys: Promise<ScramKeys> | null = null

  constructor(password: string) {
    this.#password = password
  }

  keys(salt: string, iterations: number): Promise<ScramKeys> {
    const about = `${iterations} ${salt}`
    if (this.#keys !== null && this.#about === about) return this.#keys
    this.#about = about
    this.#keys = deriveKeys(this.#password, salt, iterations)
    return this.#keys
  }
}

async function deriveKeys(password: string, salt: string, iterations: number): Promise<ScramKeys> {
  const salted = await derive(password.normalize('NFKC'), Buffer.from(salt, 'base64'), iterations, 32, 'sha256')
  const clientKey = createHmac('sha256', salted).update('Client Key').digest()
  return {
    clientKey,
    storedKey: createHash('sha256').update(clientKey).digest(),
    serverKey: createHmac('sha256', salted).update('Server Key').digest(),
  }
}

/** Null when the server's challenge is not one for our nonce. */
export async function answerScram(start: ScramStart, challenge: string, secret: ScramSecret): Promise<ScramAnswer | null> {
  const match = /^r=([^,]+),s=([A-Za-z0-9+/=]+),i=(\d{1,9})$/.exec(challenge)
  const [, nonce, salt, rounds] = match ?? []
  if (nonce === undefined || salt === undefined || rounds === undefined) return null
  const iterations = Number(rounds)
  if (!nonce.startsWith(start.nonce) || nonce.length <= start.nonce.length || iterations < 1 || iterations > iterationsMax)
    return null
  const { clientKey, storedKey, serverKey } = await secret.keys(salt, iterations)
  const withoutProof = `c=${start.repeated.toString('base64')},r=${nonce}`
  const message = `n=,r=${start.nonce},${challenge},${withoutProof}`
  const signature = createHmac('sha256', storedKey).update(message).digest()
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] ?? 0)))
  const expected = createHmac('sha256', serverKey).update(message).digest()
  return {
    message: `${withoutProof},p=${proof.toString('base64')}`,
    accepts: (final) => {
      const given = Buffer.from(/^v=([A-Za-z0-9+/=]+)/.exec(final)?.[1] ?? '', 'base64')
      return given.length === expected.length && timingSafeEqual(given, expected)
    },
  }
}
