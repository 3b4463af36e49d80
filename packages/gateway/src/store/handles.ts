import type { DatabaseSync } from 'node:sqlite'
import type { Handle } from '@sallyport/core'
import { transact } from './database.ts'
import { endBy } from './handle-ends.ts'
import { readHandle } from './row.ts'

/** Handles as the store keeps them: verifiers, never secrets. */
export interface HandleStore {
  insert(handle: Handle): void
  /** Inserts one that was narrowed, unless its parent is no longer in force: false. */
  insertChild(handle: Handle, nowMs: number): boolean
  /** Handles in force that were narrowed from another: of this agent, and of this parent. */
  countChildren(agent: string, parent: string, nowMs: number): { readonly agent: number; readonly parent: number }
  /** Counts a use of it and of every handle that it was narrowed from. False, and nothing is counted, where one of them has none left. */
  use(id: string): boolean
  /** Neither expired nor revoked, newest first, at most `most`. */
  active(agent: string, nowMs: number, most: number): readonly Handle[]
  find(id: string): Handle | null
  /** Those in force, newest first, at most `most`. */
  inForce(nowMs: number, most: number): readonly Handle[]
  /** Keeps a rotated one, and ends the one before by `endsAtMs`, with all that was narrowed from it: their ids. Null: it is no longer in force. */
  replace(old: string, made: Handle, endsAtMs: number, nowMs: number): readonly string[] | null
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
    insert: (handle) => insert(database, handle),
    insertChild: (handle, nowMs) => insertChild(database, handle, nowMs),
    countChildren: (agent, parent, nowMs) => countChildren(database, agent, parent, nowMs),
    use: (id) => use(database, id),
    active: (agent, nowMs, most) => active.all(agent, nowMs, most).map(readHandle),
    find: (id) => {
      const row = database.prepare('SELECT * FROM handles WHERE id = ?').get(id)
      return row === undefined ? null : readHandle(row)
    },
    inForce: (nowMs, most) =>
      database
        .prepare('SELECT * FROM handles WHERE expiresAtMs > ? AND revokedAtMs IS NULL ORDER BY issuedAtMs DESC LIMIT ?')
        .all(nowMs, most)
        .map(readHandle),
    replace: (old, made, endsAtMs, nowMs) =>
      transact(database, () => {
        const known = database
          .prepare('SELECT 1 FROM handles WHERE id = ? AND revokedAtMs IS NULL AND expiresAtMs > ?')
          .get(old, nowMs)
        if (known === undefined) return null
        // The uses of a narrowed one go along: a new secret gives it no more.
        insert(database, made)
        database.prepare('UPDATE handles SET uses = (SELECT uses FROM handles WHERE id = ?) WHERE id = ?').run(old, made.id)
        return endBy(database, old, endsAtMs, nowMs)
      }),
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

function insert(database: DatabaseSync, handle: Handle): void {
  database
    .prepare(
      'INSERT INTO handles (id, agent, owner, parent, issuedAtMs, expiresAtMs, revokedAtMs, scram, secretSha256, narrowing) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
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
      handle.narrowing ? JSON.stringify(handle.narrowing) : null,
    )
}

function insertChild(database: DatabaseSync, handle: Handle, nowMs: number): boolean {
  return transact(database, () => {
    const parent = database
      .prepare('SELECT 1 FROM handles WHERE id = ? AND revokedAtMs IS NULL AND expiresAtMs > ?')
      .get(handle.parent, nowMs)
    if (parent !== undefined) insert(database, handle)
    return parent !== undefined
  })
}

function countChildren(
  database: DatabaseSync,
  agent: string,
  parent: string,
  nowMs: number,
): { readonly agent: number; readonly parent: number } {
  const row = database
    .prepare(
      `SELECT count(*) AS agent, count(*) FILTER (WHERE parent = ?) AS parent FROM handles
       WHERE agent = ? AND parent IS NOT NULL AND revokedAtMs IS NULL AND expiresAtMs > ?`,
    )
    .get(parent, agent, nowMs)
  // A count that is not there is no room.
  return { agent: Number(row?.['agent'] ?? Infinity), parent: Number(row?.['parent'] ?? Infinity) }
}

const chain = `WITH RECURSIVE chain(id, parent) AS (SELECT id, parent FROM handles WHERE id = ?
  UNION SELECT handles.id, handles.parent FROM handles JOIN chain ON handles.id = chain.parent)`

function use(database: DatabaseSync, id: string): boolean {
  return transact(database, () => {
    const spent = database
      .prepare(
        `${chain} SELECT 1 FROM handles WHERE id IN (SELECT id FROM chain) AND json_extract(narrowing, '$.usesMax') <= uses`,
      )
      .get(id)
    if (spent === undefined)
      database.prepare(`${chain} UPDATE handles SET uses = uses + 1 WHERE id IN (SELECT id FROM chain)`).run(id)
    return spent === undefined
  })
}
