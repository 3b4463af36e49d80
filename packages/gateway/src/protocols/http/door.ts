import { hash, timingSafeEqual } from 'node:crypto'
import type { Gate, Handle } from '@sallyport/core'
import { hideTokens } from './token-shape.ts'

const agentBytesMax = 128
const secretBytesMax = 512
const credentialsBytesMax = 1_024

export type Admission =
  | { readonly kind: 'admitted'; readonly handle: Handle }
  /** Nobody said who they are: ask. Not a failure. */
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'refused' }

/** Compares what a client proves itself with against the handles in force. Known and unknown agents look alike from outside. */
export class Door {
  readonly #gate: Gate
  readonly #failures = new Map<string, number>()

  constructor(gate: Gate) {
    this.#gate = gate
  }

  /** @param credentials the value of Proxy-Authorization */
  async admit(credentials: string | undefined, peer: string, address: string): Promise<Admission> {
    if (credentials === undefined) return { kind: 'anonymous' }
    const claimed = readBasic(credentials)
    if (claimed === null) return this.fail('', 'Proxy-Authorization is not Basic with an agent and a handle', peer, address)
    const sha256 = hash('sha256', claimed.secret, 'hex')
    let found: Handle | null = null
    for (const handle of await this.#gate.handles.candidates(claimed.user))
      if (isSameDigest(handle.secretSha256, sha256)) found = handle
    if (found === null) return this.fail(claimed.user, 'the secret fits no handle in force', peer, address)
    this.passed(claimed.user, address)
    return { kind: 'admitted', handle: found }
  }

  /** Somebody proved to be this agent: what failed from there before counts no longer. */
  passed(agent: string, address: string): void {
    this.#failures.delete(`${address} ${agent}`)
  }

  /** On the log, counted, and answered the later the more there were. */
  async fail(agent: string, why: string, peer: string, address: string): Promise<Admission> {
    const delayMs = this.#count(`${address} ${agent}`)
    // What stands where a name belongs may be the token.
    this.#gate.refusedAtDoor('http', peer, hideTokens(agent), why)
    await new Promise<void>((resolve) => setTimeout(resolve, delayMs))
    return { kind: 'refused' }
  }

  /** Counts one failure, and says how long to wait before the answer, ms. Bounded; the oldest is forgotten. */
  #count(key: string): number {
    const count = (this.#failures.get(key) ?? 0) + 1
    this.#failures.delete(key)
    this.#failures.set(key, count)
    const oldest = this.#failures.size > failuresKept ? this.#failures.keys().next().value : undefined
    if (oldest !== undefined) this.#failures.delete(oldest)
    return Math.min(slowestMs, 50 * 2 ** Math.min(count, 10))
  }
}

const failuresKept = 10_000
const slowestMs = 2_000

/** `Basic base64(user:secret)`, canonical base64 only. */
export function readBasic(credentials: string): { readonly user: string; readonly secret: string } | null {
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(credentials)?.[1]
  if (encoded === undefined || credentials.length > credentialsBytesMax) return null
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const at = text.indexOf(':')
  const user = text.slice(0, at)
  const secret = text.slice(at + 1)
  return at < 1 || Buffer.byteLength(user) > agentBytesMax || secret === '' || secret.length > secretBytesMax
    ? null
    : { user, secret }
}

/** Whether this text is the secret of that handle. */
export function isHandle(secret: string, handle: Handle): boolean {
  return isSameDigest(handle.secretSha256, hash('sha256', secret, 'hex'))
}

function isSameDigest(left: string, right: string): boolean {
  const one = Buffer.from(left, 'latin1')
  const other = Buffer.from(right, 'latin1')
  return one.length === other.length && timingSafeEqual(one, other)
}
