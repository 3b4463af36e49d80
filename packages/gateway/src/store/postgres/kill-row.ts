import { z } from 'zod'
import { killKinds, type Kill, type KillKind, type NewKill } from '../kills.ts'
import type { Row, Run } from './connection.ts'

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

const reasonMax = 1_000
const written = 'id, kind, name, reason, by, at_ms AS "atMs"'
const writtenShape = killShape.extend({ epoch: z.number() })
const findSql = `SELECT ${written}, epoch FROM kills, switch WHERE mark = $1`
/** One statement: were this gate cut off in its middle, no other would wait for its locks. The epoch moves, and all are told, even where the row is there. */
const insertSql = `
  WITH moved AS (${moveEpoch}),
       pulled AS (INSERT INTO kills (kind, name, reason, by, at_ms, mark) SELECT $1, $2, $3, $4, $5, $7 FROM moved
                  ON CONFLICT (mark) DO NOTHING RETURNING *)
  SELECT ${written}, moved.epoch, pg_notify('sallyport', 'switch ' || moved.epoch || $6) FROM moved LEFT JOIN pulled ON true`

export interface WrittenKill {
  readonly kill: Kill
  /** Whoever has heard of this epoch has heard of the kill. */
  readonly epoch: number
}

/** In the store, once for each mark, and told to every gate in the same transaction. */
export async function writeKill(run: Run, { kind, name, reason, by, atMs, mark = '' }: NewKill): Promise<WrittenKill> {
  const find = async (): Promise<WrittenKill | null> => readWritten((await run(findSql, [mark])).rows[0])
  const insert = async (): Promise<WrittenKill | null> => {
    const values = [kind, clean(name), clean(reason).slice(0, reasonMax), clean(by), atMs, hintOf(kind, clean(name))]
    return readWritten((await run(insertSql, [...values, mark === '' ? null : mark])).rows[0])
  }
  // Found after all: another thread wrote it at this very moment.
  const found = (mark === '' ? null : await find()) ?? (await insert()) ?? (await find())
  if (found === null) throw new RangeError('the store took a kill and has none')
  return found
}

function readWritten(row: Row | undefined): WrittenKill | null {
  if (row === undefined || row['id'] === null) return null
  const { epoch, ...kill } = writtenShape.parse(row)
  return { kill, epoch }
}

/** PostgreSQL's text has no NUL, and a kill must not fail for what somebody put into its reason. */
export function clean(text: string): string {
  return text.replaceAll('\0', '')
}
