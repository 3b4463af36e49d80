import type { Budgets } from '@sallyport/core'
import type { Connection } from './connection.ts'

/** Rows changed without a prompt, over all gates. The database's own time says when: no gate's clock counts. */
export function openBudgets({ run }: Connection): Budgets {
  return {
    spent: async (owner, upstream, windowMs) => {
      const { rows } = await run(
        `SELECT coalesce(sum(rows), 0)::bigint AS rows FROM spending
         WHERE owner = $1 AND upstream = $2 AND at > clock_timestamp() - $3 * interval '1 millisecond'`,
        [owner, upstream, windowMs],
      )
      return Number(rows[0]?.['rows'] ?? Number.MAX_SAFE_INTEGER)
    },
    spend: async (owner, upstream, rows) => {
      await run('INSERT INTO spending (owner, upstream, rows) VALUES ($1, $2, $3)', [owner, upstream, rows])
    },
  }
}
