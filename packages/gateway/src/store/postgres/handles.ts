import type { Handle } from '@sallyport/core'
import { readHandle } from '../row.ts'
import type { Connection, Run } from './connection.ts'
import { moveEpoch } from './kill-row.ts'

/** Handles as the shared store keeps them: verifiers, never secrets. Good at any gate. */
export interface SharedHandles {
  insert(handle: Handle): Promise<void>
  insertChild(handle: Handle, nowMs: number): Promise<boolean>
  countChildren(agent: string, parent: string, nowMs: number): Promise<{ readonly agent: number; readonly parent: number }>
  use(id: string): Promise<boolean>
  active(agent: string, nowMs: number, most: number): Promise<readonly Handle[]>
  find(id: string): Promise<Handle | null>
  inForce(nowMs: number, most: number): Promise<readonly Handle[]>
  replace(old: string, made: Handle, endsAtMs: number, nowMs: number): Promise<readonly string[] | null>
  /** It and all that was narrowed from it end by then, or as before where that is sooner. Their ids. */
  endBy(id: string, endsAtMs: number, nowMs: number): Promise<readonly string[]>
  revoke(id: string, nowMs: number): Promise<readonly string[]>
  revokeOf(kind: 'agent' | 'owner' | 'all', name: string, nowMs: number): Promise<readonly string[]>
}

const columns = `id, agent, owner, parent, issued_at_ms AS "issuedAtMs", expires_at_ms AS "expiresAtMs", revoked_at_ms AS "revokedAtMs",
  scram, secret_sha256 AS "secretSha256", narrowing`
const inserted =
  'handles (id, agent, owner, parent, issued_at_ms, expires_at_ms, revoked_at_ms, scram, secret_sha256, narrowing, uses_max)'
const insertSql = `INSERT INTO ${inserted} VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
const chain = `WITH RECURSIVE chain(id, parent) AS (SELECT id, parent FROM handles WHERE id = $1
  UNION SELECT handles.id, handles.parent FROM handles JOIN chain ON handles.id = chain.parent)`
const tree = `WITH RECURSIVE tree(id) AS (SELECT $1::text UNION SELECT handles.id FROM handles JOIN tree ON handles.parent = tree.id)`
const revokeTree = `${tree} UPDATE handles SET revoked_at_ms = $2 WHERE id IN (SELECT id FROM tree) AND revoked_at_ms IS NULL RETURNING id`
const revokeAll = `UPDATE handles SET revoked_at_ms = $3 WHERE revoked_at_ms IS NULL AND expires_at_ms > $3
  AND ($1 = 'all' OR ($1 = 'agent' AND agent = $2) OR ($1 = 'owner' AND owner = $2)) RETURNING id`

export function openHandles(connection: Connection): SharedHandles {
  const { run } = connection
  return {
    insert: async (handle) => {
      await run(insertSql, valuesOf(handle))
    },
    insertChild: async (handle, nowMs) => {
      // Its parent's row is held meanwhile: whoever revokes it waits, and then sees the child.
      const { count } = await run(
        `WITH parent AS (SELECT id FROM handles WHERE id = $4 AND revoked_at_ms IS NULL AND expires_at_ms > $12 FOR SHARE)
         INSERT INTO ${inserted} SELECT $1, $2, $3, parent.id, $5, $6, $7, $8, $9, $10, $11 FROM parent`,
        [...valuesOf(handle), nowMs],
      )
      return count === 1
    },
    countChildren: async (agent, parent, nowMs) => {
      const { rows } = await run(
        `SELECT count(*) AS agent, count(*) FILTER (WHERE parent = $2) AS parent FROM handles
         WHERE agent = $1 AND parent IS NOT NULL AND revoked_at_ms IS NULL AND expires_at_ms > $3`,
        [agent, parent, nowMs],
      )
      return { agent: Number(rows[0]?.['agent'] ?? Infinity), parent: Number(rows[0]?.['parent'] ?? Infinity) }
    },
    use: (id) => connection.transact((within) => use(within, id)),
    active: async (agent, nowMs, most) => {
      const { rows } = await run(
        `SELECT ${columns} FROM handles WHERE agent = $1 AND expires_at_ms > $2 AND revoked_at_ms IS NULL ORDER BY seq DESC LIMIT $3`,
        [agent, nowMs, most],
      )
      return rows.map(readHandle)
    },
    find: async (id) => {
      const { rows } = await run(`SELECT ${columns} FROM handles WHERE id = $1`, [id])
      return rows[0] === undefined ? null : readHandle(rows[0])
    },
    inForce: async (nowMs, most) => {
      const { rows } = await run(
        `SELECT ${columns} FROM handles WHERE expires_at_ms > $1 AND revoked_at_ms IS NULL ORDER BY seq DESC LIMIT $2`,
        [nowMs, most],
      )
      return rows.map(readHandle)
    },
    replace: (old, made, endsAtMs, nowMs) => connection.transact((within) => replace(within, old, made, endsAtMs, nowMs)),
    endBy: (id, endsAtMs, nowMs) => connection.transact((within) => endTree(within, id, endsAtMs, nowMs)),
    revoke: (id, nowMs) => revokeUntilNone(connection, revokeTree, [id, nowMs]),
    revokeOf: (kind, name, nowMs) => revokeUntilNone(connection, revokeAll, [kind, name, nowMs]),
  }
}

function valuesOf(handle: Handle): readonly unknown[] {
  const { id, agent, owner, parent, issuedAtMs, expiresAtMs, revokedAtMs, scram, secretSha256, narrowing } = handle
  return [
    id,
    agent,
    owner,
    parent,
    issuedAtMs,
    expiresAtMs,
    revokedAtMs,
    JSON.stringify(scram),
    secretSha256,
    narrowing ? JSON.stringify(narrowing) : null,
    narrowing?.usesMax ?? null,
  ]
}

/** The old one's row is held meanwhile: whoever revokes it, or narrows it, waits. */
async function replace(run: Run, old: string, made: Handle, endsAtMs: number, nowMs: number): Promise<readonly string[] | null> {
  const known = await run('SELECT uses FROM handles WHERE id = $1 AND revoked_at_ms IS NULL AND expires_at_ms > $2 FOR UPDATE', [
    old,
    nowMs,
  ])
  if (known.rows[0] === undefined) return null
  await run(insertSql, valuesOf(made))
  // The uses of a narrowed one go along: a new secret gives it no more.
  await run('UPDATE handles SET uses = $2 WHERE id = $1', [made.id, known.rows[0]['uses']])
  return endTree(run, old, endsAtMs, nowMs)
}

/** Again until nothing more changes: a child may have been made of one of them meanwhile. */
async function endTree(run: Run, id: string, endsAtMs: number, nowMs: number): Promise<readonly string[]> {
  const ids = new Set<string>()
  for (;;) {
    const { rows } = await run(
      `${tree} UPDATE handles SET expires_at_ms = least(expires_at_ms, $2)
       WHERE id IN (SELECT id FROM tree) AND revoked_at_ms IS NULL AND expires_at_ms > $3 AND NOT id = ANY($4) RETURNING id`,
      [id, endsAtMs, nowMs, [...ids]],
    )
    if (rows.length === 0) return [...ids]
    for (const row of rows) ids.add(String(row['id']))
  }
}

/** Always locked in the same order, so that two that share a parent never wait for each other. */
async function use(run: Run, id: string): Promise<boolean> {
  const { rows } = await run(`${chain} SELECT id FROM chain`, [id])
  const ids = rows.map((row) => String(row['id'])).toSorted()
  for (const one of ids) {
    const held = await run('SELECT (uses_max IS NULL OR uses < uses_max) AS left FROM handles WHERE id = $1 FOR UPDATE', [one])
    if (held.rows[0]?.['left'] !== true) return false
  }
  await run('UPDATE handles SET uses = uses + 1 WHERE id = ANY($1)', [ids])
  return ids.length > 0
}

/**
 * Again until there is none left: a child may have been made while the one before was revoked; no child is made of one that is. Every gate is told in
 * the same transaction, and ends the sessions of what was revoked.
 */
function revokeUntilNone({ transact }: Connection, sql: string, values: readonly unknown[]): Promise<readonly string[]> {
  return transact(async (run) => {
    const ids: string[] = []
    for (;;) {
      const { rows } = await run(sql, values)
      if (rows.length === 0) break
      ids.push(...rows.map((row) => String(row['id'])))
    }
    if (ids.length > 0) await run(`WITH moved AS (${moveEpoch}) SELECT pg_notify('sallyport', 'switch ' || epoch) FROM moved`)
    return ids
  })
}
