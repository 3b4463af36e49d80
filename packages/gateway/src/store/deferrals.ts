import type { DatabaseSync } from 'node:sqlite'
import type { Clock, Handle } from '@sallyport/core'
import { transact } from './database.ts'
import { readDeferral, readHandle, type DeferralRow } from './row.ts'

/** Looked at in one go. */
const dueMax = 100

interface DueRow {
  readonly deferral: DeferralRow
  readonly agent: string
  readonly session: string
  readonly handle: Handle | null
}

export interface DeferralStore {
  /** False when its request carries no delay, or has ended. */
  keep(deferral: DeferralRow): Promise<boolean>
  due(nowMs: number): Promise<readonly DueRow[]>
  drop(request: string): Promise<void>
}

/** What the gate runs itself when a delay is over. Gone with its request. */
export function openDeferrals(database: DatabaseSync, clock: Clock): DeferralStore {
  const findHandle = (id: string, nowMs: number): Handle | null => {
    const row = database.prepare('SELECT * FROM handles WHERE id = ? AND revokedAtMs IS NULL AND expiresAtMs > ?').get(id, nowMs)
    return row === undefined ? null : readHandle(row)
  }
  return {
    keep: async (deferral) => keep(database, deferral, clock.nowMs()),
    due: async (nowMs) =>
      database
        .prepare(
          `SELECT deferrals.*, requests.agent, requests.session FROM deferrals JOIN requests ON requests.id = deferrals.request
           JOIN grants ON grants.request = requests.id
           WHERE requests.state = 'approved' AND grants.state = 'open' AND grants.notBeforeMs <= ?1 AND grants.expiresAtMs > ?1
           ORDER BY grants.notBeforeMs LIMIT ?2`,
        )
        .all(nowMs, dueMax)
        .map((row) => {
          const deferral = readDeferral(row)
          return {
            deferral,
            agent: String(row['agent']),
            session: String(row['session']),
            handle: findHandle(deferral.handle, nowMs),
          }
        }),
    drop: async (request) => {
      database.prepare('DELETE FROM deferrals WHERE request = ?').run(request)
    },
  }
}

/** What can never be due any more: ended, run, or never answered. */
const clear = `DELETE FROM deferrals WHERE request NOT IN (
  SELECT requests.id FROM requests LEFT JOIN grants ON grants.request = requests.id
  WHERE (requests.state = 'pending' AND requests.expiresAtMs > ?1)
     OR (requests.state = 'approved' AND grants.state = 'open' AND grants.expiresAtMs > ?1))`

const findDelayed = `SELECT 1 AS yes FROM requests
  WHERE id = ? AND state IN ('pending', 'approved') AND json_extract(question, '$.delayMs') > 0`

function keep(database: DatabaseSync, deferral: DeferralRow, nowMs: number): boolean {
  const { request, handle, upstream, origin, message, contentType, contentCodings } = deferral
  const { method, target, headers, body } = message
  return transact(database, () => {
    database.prepare(clear).run(nowMs)
    if (database.prepare(findDelayed).get(request) === undefined) return false
    database
      .prepare('INSERT OR REPLACE INTO deferrals (request, handle, upstream, about, body) VALUES (?, ?, ?, ?, ?)')
      .run(request, handle, upstream, JSON.stringify({ origin, method, target, headers, contentType, contentCodings }), body)
    return true
  })
}
