import { z } from 'zod'
import { killKinds, nameMax, reasonMax } from './heard.ts'

/** One pull of the switch, from wherever it came. */
export const orderShape = z.strictObject({
  kind: z.enum(killKinds),
  /** A session's id, an agent's, owner's or upstream's name; empty for `all`. */
  name: z.string().max(nameMax),
  reason: z.string().max(reasonMax),
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

/** What the switch's thread tells the gate's; what it is answered stands in `heard.ts`. It numbers its pulls from 1. */
export const toGateShape = z.discriminatedUnion('says', [
  z.strictObject({ says: z.literal('listening') }),
  z.strictObject({ says: z.literal('pull'), number: z.int().positive(), order: orderShape }),
])
export type ToGate = z.infer<typeof toGateShape>
