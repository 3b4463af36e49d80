import { randomBytes, randomInt, timingSafeEqual } from 'node:crypto'
import type { AgentSession } from './agent-session.ts'

/** The keys that clients cancel by: the gate's own, never the upstream's. */
export class CancelKeys {
  #sessions = new Map<number, { readonly secret: Buffer; readonly session: AgentSession }>()
  #none = randomBytes(4)

  add(session: AgentSession): { readonly pid: number; readonly secret: Buffer } {
    let pid = randomInt(1, 2_147_483_647)
    while (this.#sessions.has(pid)) pid = randomInt(1, 2_147_483_647)
    const secret = randomBytes(4)
    this.#sessions.set(pid, { secret, session })
    return { pid, secret }
  }

  remove(pid: number): void {
    this.#sessions.delete(pid)
  }

  /** Cancels what the session of that key runs; nothing when the key fits none. */
  cancel(pid: number, secret: Buffer): void {
    const found = this.#sessions.get(pid)
    const fits = timingSafeEqual(found?.secret ?? this.#none, secret)
    if (fits && found !== undefined) found.session.cancel()
  }
}
