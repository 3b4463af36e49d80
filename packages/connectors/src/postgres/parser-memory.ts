import type { Operation } from '@sallyport/core'

/** Verdicts by exact text, the least recently used forgotten first. Texts are kept as they are: nothing here folds anything. */
export interface VerdictMemory {
  get(sql: string): readonly Operation[] | undefined
  set(sql: string, operations: readonly Operation[]): void
}

/** What one operation weighs besides its text, in bytes: an estimate on the high side. */
const operationBytes = 1_500

export function createVerdictMemory(limits: {
  readonly entriesMax: number
  readonly bytesMax: number
  readonly textMax: number
}): VerdictMemory {
  const entries = new Map<string, readonly Operation[]>()
  let bytes = 0
  const weigh = (sql: string, operations: readonly Operation[]): number => sql.length * 4 + operations.length * operationBytes

  function forget(sql: string): void {
    const operations = entries.get(sql)
    if (!operations) return
    bytes -= weigh(sql, operations)
    entries.delete(sql)
  }

  return {
    get(sql) {
      const operations = entries.get(sql)
      if (!operations) return undefined
      entries.delete(sql)
      entries.set(sql, operations)
      return operations
    },
    set(sql, operations) {
      if (sql.length > limits.textMax) return
      forget(sql)
      entries.set(sql, operations)
      bytes += weigh(sql, operations)
      for (const oldest of entries.keys()) {
        if (entries.size <= limits.entriesMax && bytes <= limits.bytesMax) break
        forget(oldest)
      }
    },
  }
}
