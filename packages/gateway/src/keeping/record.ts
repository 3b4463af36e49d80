import type { DrillRecord } from '@sallyport/core'
import { z } from 'zod'

const count = z.number().min(0)
const drillSchema: z.ZodType<DrillRecord> = z.object({
  passed: z.boolean(),
  atMs: count,
  snapshot: z.string().nullable(),
  snapshotMadeAtMs: count.nullable(),
  retainUntilMs: count.nullable(),
  restoreMs: count,
  rows: count,
  compared: count,
  answers: z.array(z.object({ ask: z.string(), expected: z.string(), answer: z.string().nullable(), passed: z.boolean() })),
  why: z.string(),
})
const recordSchema = z.object({
  copyTriedAtMs: count,
  copyFailed: z.boolean(),
  drillTriedAtMs: count,
  lastDrill: drillSchema.nullable(),
  lastPassed: drillSchema.nullable(),
})
export type KeptRecord = z.infer<typeof recordSchema>

/** What outlives a gate. */
export interface Memory {
  get(key: string): string | null
  set(key: string, value: string): void
}

const nothing: KeptRecord = { copyTriedAtMs: 0, copyFailed: false, drillTriedAtMs: 0, lastDrill: null, lastPassed: null }

/** What is known of each kept thing. Read once: whoever decides asks it for every operation. One that can't be read is as if there was none. */
export class KeptRecords {
  readonly #memory: Memory
  readonly #records = new Map<string, KeptRecord>()

  constructor(memory: Memory, names: readonly string[]) {
    this.#memory = memory
    for (const name of names) this.#records.set(name, this.#read(name))
  }

  get(name: string): KeptRecord {
    return this.#records.get(name) ?? nothing
  }

  change(name: string, changes: Partial<KeptRecord>): void {
    const record = { ...this.get(name), ...changes }
    this.#memory.set(keyOf(name), JSON.stringify(record))
    this.#records.set(name, record)
  }

  #read(name: string): KeptRecord {
    try {
      return recordSchema.parse(JSON.parse(this.#memory.get(keyOf(name)) ?? 'null'))
    } catch {
      return nothing
    }
  }
}

function keyOf(name: string): string {
  return `kept:${name}`
}

/**
 * Whether the last drill passed, within `demandMs` before now, from a copy that is still kept. A drill that lies ahead of the clock proves nothing,
 * and neither does one behind which another failed.
 */
export function meetsDemand({ lastDrill }: KeptRecord, demandMs: number, nowMs: number): boolean {
  if (lastDrill === null || !lastDrill.passed || lastDrill.retainUntilMs === null) return false
  const ageMs = nowMs - lastDrill.atMs
  return ageMs >= 0 && ageMs <= demandMs && lastDrill.retainUntilMs > nowMs
}
