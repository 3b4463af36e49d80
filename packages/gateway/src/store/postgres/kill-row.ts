import { z } from 'zod'
import { killKinds, type Kill } from '../kills.ts'

export const killShape = z.object({
  id: z.number(),
  kind: z.enum(killKinds),
  name: z.string(),
  reason: z.string(),
  by: z.string(),
  atMs: z.number(),
})

export function readKills(rows: unknown): readonly Kill[] {
  return z.array(killShape).parse(rows)
}

/** Every change of what is stopped is told to every gate in the transaction that makes it: an epoch, and a message that it moved. */
export const moveEpoch = 'UPDATE switch SET epoch = epoch + 1 RETURNING epoch'
