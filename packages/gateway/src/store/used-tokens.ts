import type { DatabaseSync } from 'node:sqlite'
import { transact } from './database.ts'

/** Tokens of others that were taken for a handle: each counts once, over restarts too. */
export interface UsedTokens {
  /** Durable before it returns. `used`: one of these names was there before; `full`: no room for another before some run out. */
  use(names: readonly string[], untilMs: number, nowMs: number): 'first' | 'used' | 'full'
}

const namesMax = 100_000

export function openUsedTokens(database: DatabaseSync): UsedTokens {
  return {
    use: (names, untilMs, nowMs) =>
      transact(database, () => {
        database.prepare('DELETE FROM usedTokens WHERE untilMs <= ?').run(nowMs)
        const known = database.prepare('SELECT 1 FROM usedTokens WHERE name = ?')
        if (names.some((name) => known.get(name) !== undefined)) return 'used'
        const row = database.prepare('SELECT count(*) AS kept FROM usedTokens').get()
        // A count that is not there is no room.
        if (Number(row?.['kept'] ?? Infinity) + names.length > namesMax) return 'full'
        for (const name of names) database.prepare('INSERT INTO usedTokens (name, untilMs) VALUES (?, ?)').run(name, untilMs)
        return 'first'
      }),
  }
}
