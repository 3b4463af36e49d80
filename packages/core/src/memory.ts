import type { ResolvedOperation } from './operation.ts'
import type { Session } from './session.ts'

/** What a remembered verdict depended on. When any of it differs, the verdict is gone. */
export interface Basis {
  readonly policyHash: string
  readonly killEpoch: number
}

interface Entry {
  readonly basis: Basis
  readonly untilMs: number
  readonly statement: string
  /** Operations of a plain write, to be decided anew each time; null for a read, whose verdict itself is remembered. */
  readonly operations: readonly ResolvedOperation[] | null
}

/** Keys a session may have remembered. Past it the session starts to remember anew. */
const keysMax = 2_000

/**
 * Verdicts on reads, and descriptions of plain writes, by session and key. It belongs to one session so that nothing one agent did
 * decides for another, and it goes when the session goes.
 */
export class Memory {
  readonly #sessions = new WeakMap<Session, Map<string, Entry>>()

  find(session: Session, key: string, basis: Basis, nowMs: number): Entry | null {
    const entry = this.#sessions.get(session)?.get(key)
    if (entry === undefined) return null
    const holds =
      entry.untilMs > nowMs && entry.basis.killEpoch === basis.killEpoch && entry.basis.policyHash === basis.policyHash
    return holds ? entry : null
  }

  keep(session: Session, key: string, entry: Entry): void {
    let entries = this.#sessions.get(session)
    if (entries === undefined || entries.size >= keysMax) {
      entries = new Map()
      this.#sessions.set(session, entries)
    }
    entries.set(key, entry)
  }
}
