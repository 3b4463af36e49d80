import { z } from 'zod'
import { webSessionsMax, type PeopleStore } from '../people.ts'
import type { Connection } from './connection.ts'

/** A browser that is at it says so no more often than this: what is told is when it was last seen, for a limit of half an hour. */
const touchEveryMs = 10_000

const rowShape = z.object({
  idSha256: z.string(),
  person: z.string(),
  by: z.enum(['passkey', 'account']),
  createdAtMs: z.number(),
  lastSeenAtMs: z.number(),
})

/** Everybody signs in again: what the store says of who is signed in is not believed any more. */
export async function endWebSessions({ run }: Connection): Promise<void> {
  await run('DELETE FROM web_sessions')
  await run('DELETE FROM sign_ins')
}

/** Browsers that people signed in with, at whichever gate: signed in, and signed out, at all of them. */
export function openWebSessions({ run }: Connection): PeopleStore['webSessions'] {
  return {
    create: async ({ idSha256, person, by, createdAtMs, lastSeenAtMs }) => {
      await run(
        'DELETE FROM web_sessions WHERE id_sha256 IN (SELECT id_sha256 FROM web_sessions ORDER BY last_seen_at_ms DESC OFFSET $1)',
        [webSessionsMax - 1],
      )
      await run('INSERT INTO web_sessions (id_sha256, person, by, created_at_ms, last_seen_at_ms) VALUES ($1, $2, $3, $4, $5)', [
        idSha256,
        person,
        by,
        createdAtMs,
        lastSeenAtMs,
      ])
    },
    get: async (idSha256) => {
      const { rows } = await run(
        `SELECT id_sha256 AS "idSha256", person, by, created_at_ms AS "createdAtMs", last_seen_at_ms AS "lastSeenAtMs"
         FROM web_sessions WHERE id_sha256 = $1`,
        [idSha256],
      )
      return rows[0] === undefined ? null : rowShape.parse(rows[0])
    },
    touch: async (idSha256, lastSeenAtMs) => {
      await run('UPDATE web_sessions SET last_seen_at_ms = $2 WHERE id_sha256 = $1 AND last_seen_at_ms <= $2 - $3::bigint', [
        idSha256,
        lastSeenAtMs,
        touchEveryMs,
      ])
    },
    end: async (idSha256) => {
      await run('DELETE FROM web_sessions WHERE id_sha256 = $1', [idSha256])
    },
  }
}
