import type { Narrowing } from './narrowing.ts'
import type { Subject } from './operation.ts'

/** Where a session comes from that the gate opened itself, to do what was put off. */
export const gatePeer = 'the gate, when its delay was over'

/** One run of one agent (DESIGN §2). */
export interface Session {
  readonly id: string
  readonly subject: Subject
  readonly handleId: string
  /** Of a handle that was narrowed: everything asked for must be within it, too. */
  readonly narrowing?: Narrowing | null
  readonly protocol: string
  readonly upstream: string
  readonly openedAtMs: number
  /** Where the agent connected from, for people to read. */
  readonly peer: string
}
