import type { MessagePort } from 'node:worker_threads'
import { z } from 'zod'

/** What a kill names. */
const killKinds = ['session', 'agent', 'owner', 'upstream', 'all'] as const

/** One pull of the switch, from wherever it came. */
export const orderShape = z.strictObject({
  kind: z.enum(killKinds),
  /** A session's id, an agent's, owner's or upstream's name; empty for `all`. */
  name: z.string().max(256),
  reason: z.string().max(1000),
  by: z.string().max(128),
  /** Reads that run already may end; everything else stops at once. */
  drain: z.boolean(),
  atMs: z.number(),
  /** Tells this pull from every other, so that the store has it once, whichever thread writes it there. Empty: nobody else does. */
  mark: z.string().max(64).default(''),
})
export type KillOrder = z.infer<typeof orderShape>

/** A line of the switch's own record. */
export const recordLineShape = z.union([
  z.strictObject({ number: z.int().positive(), order: orderShape }),
  z.strictObject({ settled: z.int().positive() }),
])
export type RecordLine = z.infer<typeof recordLineShape>

/** What the switch's thread and the gate's tell each other. Each numbers its pulls from 1. */
export const toGateShape = z.discriminatedUnion('says', [
  z.strictObject({ says: z.literal('listening') }),
  z.strictObject({ says: z.literal('pull'), number: z.int().positive(), order: orderShape }),
])
export type ToGate = z.infer<typeof toGateShape>

export const toSwitchShape = z.discriminatedUnion('says', [
  /** Nothing of it is written upstream any more. */
  z.strictObject({ says: z.literal('stopped'), number: z.int().positive(), sessions: z.int().min(0) }),
  /** The store has it, or could not take it. */
  z.strictObject({ says: z.literal('written'), number: z.int().positive(), id: z.number().nullable() }),
  /** SIGUSR2, which only the gate's own thread hears. */
  z.strictObject({ says: z.literal('signal') }),
])
export type ToSwitch = z.infer<typeof toSwitchShape>

/** Places in the memory that both threads see. */
export const words = { pulled: 0, beat: 1 } as const
export const wordCount = 2

/** What the switch's thread is given. */
export interface SwitchData {
  readonly recordPath: string
  readonly socketPath: string
  /** Its presence is a kill of everything. */
  readonly filePath: string
  readonly tokenSha256: string
  readonly leaseMs: number
  /** Other gates share the store: once it has a kill, all of them have stopped it. */
  readonly isShared: boolean
  readonly memory: SharedArrayBuffer
  /** To the thread that hears the other gates; null: there are none, or it is the gate's own thread that tells them. */
  readonly gates: MessagePort | null
  /** To the gate's thread, which can read from its end in the middle of a turn. */
  readonly port: MessagePort
}
