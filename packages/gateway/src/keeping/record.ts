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
  set(key: string, value: string): void | Promise<void>
}

const nothing: KeptRecord = { copyTriedAtMs: 0, copyFailed: false, drillTriedAtMs: 0, lastDrill: null, lastPassed: null }

/** What is known of each kept thing. Parsed once each: whoever decides asks it for every operation. One that can't be read is as if there was none. */
export class KeptRecords {
  readonly #memory: Memory
  readonly #parsed = new Map<string, { readonly text: string | null; readonly record: KeptRecord }>()

  constructor(memory: Memory) {
    this.#memory = memory
  }

  get(name: string): KeptRecord {
    const text = this.#memory.get(keyOf(name))
    const known = this.#parsed.get(name)
    if (known?.text === text) return known.record
    const record = parseRecord(text)
    this.#parsed.set(name, { text, record })
    return record
  }

  async change(name: string, changes: Partial<KeptRecord>): Promise<void> {
    await this.#memory.set(keyOf(name), JSON.stringify({ ...this.get(name), ...changes }))
  }
}

function parseRecord(text: string | null): KeptRecord {
  try {
    return recordSchema.parse(JSON.parse(text ?? 'null'))
  } catch {
    return nothing
  }
}

/** Under which names these are remembered. */
export function keptNames(kept: readonly { readonly name: string }[]): readonly string[] {
  return kept.map(({ name }) => keyOf(name))
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
