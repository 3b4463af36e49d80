import { z } from 'zod'
import type { Json, Operation } from '@sallyport/core'
import { refuse, unreadable } from './describe-text.ts'
import { openLane, type Lane } from './parser-lane.ts'
import { createVerdictMemory } from './parser-memory.ts'

/**
 * `bindValues`: the text of each parameter of a bound statement, where all of them have one; the copy of its rows needs them.
 * `parameterTypes`: oids of types that are not the server's own: what a domain checks when a value is bound, only the catalog knows.
 */
const decodedSchema = z.strictObject({
  sql: z.string(),
  bindValues: z.array(z.string().nullable()).optional(),
  parameterTypes: z.array(z.int()).optional(),
})

/** UTF-16 units. Longer texts have a thread of their own, so that no long one makes short ones wait. */
const shortMax = 8 * 1024
const memory = createVerdictMemory({ entriesMax: 4_096, bytesMax: 16 * 1024 * 1024, textMax: shortMax })
const shortLane: Lane = openLane({
  timeoutMs: 1_000,
  windowMax: 32,
  waitingMax: 20_000,
  waitMs: 10_000,
  shortestFirst: false,
  idleMs: null,
})
const longLane: Lane = openLane({
  timeoutMs: 3_000,
  windowMax: 1,
  waitingMax: 256,
  waitMs: 10_000,
  shortestFirst: true,
  idleMs: 30_000,
})

/** What SQL would do. Pure and total: never throws, and what can't be read is `unknown`. */
export async function describe(decoded: Json): Promise<readonly Operation[]> {
  const parsed = decodedSchema.safeParse(decoded)
  if (!parsed.success) return [unreadable('is not what this connector reads: it takes {"sql": "…"}')]
  const { sql, bindValues, parameterTypes = [] } = parsed.data
  const operations = await describeText(sql)
  // The verdict is on the text alone, and remembered by it.
  if (bindValues === undefined && parameterTypes.length === 0) return operations
  const more = {
    ...(bindValues === undefined ? {} : { bindValues }),
    ...(parameterTypes.length === 0 ? {} : { typeOids: parameterTypes.map(String), provisional: true, rememberable: false }),
  }
  return operations.map((operation) => ({ ...operation, context: { ...operation.context, ...more } }))
}

async function describeText(sql: string): Promise<readonly Operation[]> {
  const known = memory.get(sql)
  if (known) return known
  const refused = refuse(sql)
  if (refused) return [refused]
  const operations = await (sql.length <= shortMax ? shortLane : longLane).describe(sql)
  const isFault = operations.some((operation) => operation.action === 'postgres.unreadable')
  if (!isFault) memory.set(sql, operations)
  return operations
}

/** Starts the parser, so that the first statement does not wait for it. */
export async function warm(): Promise<void> {
  await shortLane.describe('SELECT 1')
}

/** For tests and for the end of a process: stops the parser's threads. */
export async function closeParsers(): Promise<void> {
  await Promise.all([shortLane.close(), longLane.close()])
}

/** How often a parser thread was replaced because of a fault or a time-out. */
export function parserFaults(): number {
  return shortLane.faults() + longLane.faults()
}
