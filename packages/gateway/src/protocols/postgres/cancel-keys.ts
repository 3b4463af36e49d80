import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { AgentSession } from './agent-session.ts'

export interface CancelKey {
  readonly pid: number
  readonly secret: Buffer
}

/** Length of a secret, bytes: four is all that protocol 3.0 has room for; from 3.2 on as long as PostgreSQL 18 makes them. */
const secretBytes = { short: 4, long: 32 } as const

/**
 * The keys that clients cancel by. The process id is the upstream's, which clients compare with pg_backend_pid() and with the sender of a
 * notification; the secret is the gate's own, never the upstream's. Two upstreams can have the same process id at once.
 */
export class CancelKeys {
  #sessions = new Map<CancelKey, AgentSession>()

  add(session: AgentSession, pid: number, length: keyof typeof secretBytes): CancelKey {
    const key = { pid, secret: randomBytes(secretBytes[length]) }
    this.#sessions.set(key, session)
    return key
  }

  remove(key: CancelKey): void {
    this.#sessions.delete(key)
  }

  /** Cancels what the session of that key runs; nothing when the key fits none. */
  cancel({ pid, secret }: CancelKey): void {
    for (const [key, session] of this.#sessions) {
      if (key.pid !== pid || key.secret.length !== secret.length) continue
      if (timingSafeEqual(key.secret, secret)) session.cancel()
    }
  }
}
