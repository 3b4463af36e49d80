import { z } from 'zod'
import { killKinds, type Kill, type KillKind } from '../kills.ts'

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

/** A message holds 8,000 bytes; a longer name is looked up. */
const hintBytesMax = 2_000
const hintShape = z.object({ kind: z.enum(killKinds), name: z.string() })
export type KillHint = z.infer<typeof hintShape>

/** What was pulled, in the message itself: whoever hears it stops that at once, and reads what is in force after. */
export function hintOf(kind: KillKind, name: string): string {
  const hint = ` ${JSON.stringify({ kind, name } satisfies KillHint)}`
  return Buffer.byteLength(hint) > hintBytesMax ? '' : hint
}

/** Null for a message without one, or with something else: the store says what is in force. */
export function readHint(text: string): KillHint | null {
  try {
    return hintShape.parse(JSON.parse(text))
  } catch {
    return null
  }
}
