import type { Subject } from './operation.ts'

/** One run of one agent (DESIGN §2). */
export interface Session {
  readonly id: string
  readonly subject: Subject
  readonly handleId: string
  readonly protocol: string
  readonly upstream: string
  readonly openedAtMs: number
  /** Where the agent connected from, for people to read. */
  readonly peer: string
}
