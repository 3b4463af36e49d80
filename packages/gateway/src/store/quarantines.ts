import type { DatabaseSync } from 'node:sqlite'
import type { Quarantine, Quarantines } from '@sallyport/core'
import { z } from 'zod'

const bodySchema = z.object({
  id: z.string(),
  things: z.array(z.string()),
  identities: z.array(z.string()),
  untilMs: z.number(),
})

export function readQuarantine(body: unknown): Quarantine {
  return bodySchema.parse(JSON.parse(z.string().parse(body)))
}

export interface QuarantineStore extends Quarantines {
  of(upstream: string): readonly Quarantine[]
  /** Once it was dropped for good. */
  forget(upstream: string, id: string): void
}

/** What the gate moved out of reach itself. What was moved back, or never moved, stays written down: it takes no room worth a word. */
export function openQuarantines(database: DatabaseSync): QuarantineStore {
  return {
    keep: async (upstream, { id, things, identities, untilMs }) => {
      const body = JSON.stringify({ id, things, identities, untilMs })
      database
        .prepare('INSERT INTO quarantines (id, upstream, untilMs, body) VALUES (?, ?, ?, ?)')
        .run(id, upstream, untilMs, body)
    },
    of: (upstream) =>
      database
        .prepare('SELECT body FROM quarantines WHERE upstream = ? ORDER BY untilMs')
        .all(upstream)
        .map(({ body }) => readQuarantine(body)),
    forget: (upstream, id) => void database.prepare('DELETE FROM quarantines WHERE upstream = ? AND id = ?').run(upstream, id),
  }
}
