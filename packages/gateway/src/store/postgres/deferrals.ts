import type { Clock, Handle } from '@sallyport/core'
import type { DeferralStore } from '../deferrals.ts'
import { readDeferral, type DeferralRow } from '../row.ts'
import type { Claims } from './claims.ts'
import type { Connection, Run } from './connection.ts'
import type { SharedHandles } from './handles.ts'

/** Looked at in one go. */
const dueMax = 100
/** How long a gate has to begin what it took. One that died meanwhile left it undone; what it had begun has used up its grant, and nobody runs it again. */
const claimMs = 30_000

/** What a gate runs itself when a delay is over: whichever comes first, and no other. */
export function openDeferrals(connection: Connection, clock: Clock, handles: SharedHandles, claims: Claims): DeferralStore {
  const { run } = connection
  const inForce = async (id: string, nowMs: number): Promise<Handle | null> => {
    const handle = await handles.find(id)
    return handle === null || handle.revokedAtMs !== null || handle.expiresAtMs <= nowMs ? null : handle
  }
  return {
    keep: (deferral) => connection.transact((within) => keep(within, deferral, clock.nowMs())),
    due: async (nowMs) => {
      const { rows } = await run(
        `SELECT deferrals.*, requests.agent, requests.session FROM deferrals JOIN requests ON requests.id = deferrals.request
         JOIN grants ON grants.request = requests.id
         WHERE requests.state = 'approved' AND grants.state = 'open' AND grants.not_before_ms <= $1 AND grants.expires_at_ms > $1
         ORDER BY grants.not_before_ms LIMIT $2`,
        [nowMs, dueMax],
      )
      const found = []
      for (const row of rows) {
        const deferral = readDeferral(row)
        if (!(await claims.take(claimName(deferral.request), claimMs))) continue
        found.push({
          deferral,
          agent: String(row['agent']),
          session: String(row['session']),
          handle: await inForce(deferral.handle, nowMs),
        })
      }
      return found
    },
    drop: async (request) => {
      await run('DELETE FROM deferrals WHERE request = $1', [request])
    },
  }
}

function claimName(request: string): string {
  return `due ${request}`
}

/** What can never be due any more: ended, run, or never answered. */
const clear = `DELETE FROM deferrals WHERE request NOT IN (
  SELECT requests.id FROM requests LEFT JOIN grants ON grants.request = requests.id
  WHERE (requests.state = 'pending' AND requests.expires_at_ms > $1)
     OR (requests.state = 'approved' AND grants.state = 'open' AND grants.expires_at_ms > $1))`
const clearClaims = `DELETE FROM claims WHERE name LIKE 'due %' AND until < clock_timestamp()`
const findDelayed = "SELECT 1 FROM requests WHERE id = $1 AND state IN ('pending', 'approved') AND delay_ms > 0"

async function keep(run: Run, deferral: DeferralRow, nowMs: number): Promise<boolean> {
  const { request, handle, upstream, origin, message, contentType, contentCodings } = deferral
  const { method, target, headers, body } = message
  await run(clear, [nowMs])
  await run(clearClaims)
  if ((await run(findDelayed, [request])).count === 0) return false
  const about = JSON.stringify({ origin, method, target, headers, contentType, contentCodings })
  await run(
    `INSERT INTO deferrals (request, handle, upstream, about, body) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (request) DO UPDATE SET handle = excluded.handle, upstream = excluded.upstream, about = excluded.about, body = excluded.body`,
    [request, handle, upstream, about, body],
  )
  return true
}
