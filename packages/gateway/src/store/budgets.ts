import type { DatabaseSync } from 'node:sqlite'
import type { Budgets, Clock } from '@sallyport/core'

/** Rows changed without a prompt, by owner and upstream, over a rolling window. What did not run in the end stays spent. */
export function openBudgets(database: DatabaseSync, clock: Clock): Budgets {
  return {
    spent: async (owner, upstream, windowMs) => {
      const since = clock.nowMs() - windowMs
      const row = database
        .prepare('SELECT coalesce(sum(rows), 0) AS rows FROM spending WHERE owner = ? AND upstream = ? AND atMs > ?')
        .get(owner, upstream, since)
      return Number(row?.['rows'] ?? Number.MAX_SAFE_INTEGER)
    },
    spend: async (owner, upstream, rows) => {
      database
        .prepare('INSERT INTO spending (owner, upstream, atMs, rows) VALUES (?, ?, ?, ?)')
        .run(owner, upstream, clock.nowMs(), rows)
    },
  }
}
