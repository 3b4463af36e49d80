import type { DatabaseSync } from 'node:sqlite'
import type { Handle } from '@sallyport/core'
import { readHandle } from './row.ts'

/** Handles as the store keeps them: verifiers, never secrets. */
export interface HandleStore {
  insert(handle: Handle): void
  /** Neither expired nor revoked, newest first, at most `most`. */
  active(agent: string, nowMs: number, most: number): readonly Handle[]
  find(id: string): Handle | null
  /** Revokes a handle and, transitively, every handle narrowed from it. Returns the ids that were active. */
  revoke(id: string, nowMs: number): readonly string[]
  /** Every active handle of an agent, of an owner, or of everybody. */
  revokeOf(kind: 'agent' | 'owner' | 'all', name: string, nowMs: number): readonly string[]
}

export function openHandles(database: DatabaseSync): HandleStore {
  // Every client that comes in waits for this one.
  const active = database.prepare(
    'SELECT * FROM handles WHERE agent = ? AND expiresAtMs > ? AND revokedAtMs IS NULL ORDER BY issuedAtMs DESC LIMIT ?',
  )
  const ids = (rows: readonly Record<string, unknown>[]): readonly string[] => rows.map((row) => String(row['id']))
  return {
    insert: (handle) => {
      database
        .prepare(
          'INSERT INTO handles (id, agent, owner, parent, issuedAtMs, expiresAtMs, revokedAtMs, scram, secretSha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
        )
        .run(
          handle.id,
          handle.agent,
          handle.owner,
          handle.parent,
          handle.issuedAtMs,
          handle.expiresAtMs,
          handle.revokedAtMs,
          JSON.stringify(handle.scram),
          handle.secretSha256,
        )
    },
    active: (agent, nowMs, most) => active.all(agent, nowMs, most).map(readHandle),
    find: (id) => {
      const row = database.prepare('SELECT * FROM handles WHERE id = ?').get(id)
      return row === undefined ? null : readHandle(row)
    },
    revoke: (id, nowMs) =>
      ids(
        database
          .prepare(
            `WITH RECURSIVE tree(id) AS (SELECT ? UNION SELECT handles.id FROM handles JOIN tree ON handles.parent = tree.id)
             UPDATE handles SET revokedAtMs = ? WHERE id IN (SELECT id FROM tree) AND revokedAtMs IS NULL RETURNING id`,
          )
          .all(id, nowMs),
      ),
    revokeOf: (kind, name, nowMs) =>
      ids(
        database
          .prepare(
            `UPDATE handles SET revokedAtMs = ?1 WHERE revokedAtMs IS NULL AND expiresAtMs > ?1
             AND (?2 = 'all' OR (?2 = 'agent' AND agent = ?3) OR (?2 = 'owner' AND owner = ?3)) RETURNING id`,
          )
          .all(nowMs, kind, name),
      ),
  }
}
