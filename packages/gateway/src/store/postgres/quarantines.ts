import type { Quarantine, Quarantines } from '@sallyport/core'
import { readQuarantine } from '../quarantines.ts'
import type { Connection } from './connection.ts'

export interface SharedQuarantines extends Quarantines {
  of(upstream: string): Promise<readonly Quarantine[]>
  forget(upstream: string, id: string): Promise<void>
}

/** What the gates moved out of reach, whichever of them it was. */
export function openQuarantines({ run }: Connection): SharedQuarantines {
  return {
    keep: async (upstream, { id, things, identities, untilMs }) => {
      await run('INSERT INTO quarantines (id, upstream, until_ms, body) VALUES ($1, $2, $3, $4)', [
        id,
        upstream,
        untilMs,
        JSON.stringify({ id, things, identities, untilMs }),
      ])
    },
    of: async (upstream) => {
      const { rows } = await run('SELECT body FROM quarantines WHERE upstream = $1 ORDER BY until_ms', [upstream])
      return rows.map(({ body }) => readQuarantine(body))
    },
    forget: async (upstream, id) => {
      await run('DELETE FROM quarantines WHERE upstream = $1 AND id = $2', [upstream, id])
    },
  }
}
