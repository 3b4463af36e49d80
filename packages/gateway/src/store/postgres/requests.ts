import { foldPerson, type AccessRequest, type Grant, type Requests } from '@sallyport/core'
import { z } from 'zod'
import { readRequest } from '../row.ts'
import type { Connection, Row } from './connection.ts'
import { openGrants, type SharedGrants } from './grants.ts'
import type { VerdictWaiters } from './verdict-waiters.ts'

const listMax = 500

const requestColumns = `id, nonce, session, state, created_at_ms AS "createdAtMs", expires_at_ms AS "expiresAtMs",
  not_before_ms AS "notBeforeMs", ended_by AS "endedBy", question,
  ARRAY(SELECT approvals.body FROM approvals WHERE approvals.request = requests.id ORDER BY approvals.seq) AS approvals`

const approvalsShape = z.object({ approvals: z.array(z.string()) })

/** Access requests and one-use grants that many gates share. Every change is a compare-and-set; each gate's own consumption bears its name. */
export function openRequests(connection: Connection, gate: string, waiters: VerdictWaiters): Requests & SharedGrants {
  const { run } = connection
  const first = async (sql: string, values: readonly unknown[]): Promise<Row | undefined> => (await run(sql, values)).rows[0]
  const get = async (id: string): Promise<AccessRequest | null> =>
    requestOf(await first(`SELECT ${requestColumns} FROM requests WHERE id = $1`, [id]))
  return {
    open: (request) => insertRequest(connection, request),
    get,
    findByDigest: async (agent, digest) =>
      requestOf(
        await first(`SELECT ${requestColumns} FROM requests WHERE agent = $1 AND digest = $2 ORDER BY seq DESC LIMIT 1`, [
          agent,
          digest,
        ]),
      ),
    list: async () => {
      const { rows } = await run(`SELECT ${requestColumns} FROM requests ORDER BY seq DESC LIMIT $1`, [listMax])
      return rows.flatMap((row) => requestOf(row) ?? [])
    },
    countPending: async (agent, nowMs) => {
      const row = await first(
        "SELECT count(*) AS n FROM requests WHERE agent = $1 AND state = 'pending' AND expires_at_ms > $2",
        [agent, nowMs],
      )
      return Number(row?.['n'] ?? Number.MAX_SAFE_INTEGER)
    },
    addApproval: async (id, approval) => {
      const { count } = await run(
        `WITH asked AS (SELECT id FROM requests WHERE id = $1 AND state = 'pending' FOR SHARE)
         INSERT INTO approvals (request, person_key, body) SELECT id, $2, $3 FROM asked ON CONFLICT DO NOTHING`,
        [id, foldPerson(approval.person), JSON.stringify(approval)],
      )
      return count === 1
    },
    end: async (id, from, to, by) => {
      const ended = await endRequest(connection, id, from, to, by)
      if (ended) waiters.wake(id)
      return ended
    },
    approve: async (id, notBeforeMs, grant) => {
      const approved = await approveRequest(connection, id, notBeforeMs, grant)
      if (approved) waiters.wake(id)
      return approved
    },
    ...openGrants(connection, gate),
    waitForVerdict: async (id, timeoutMs, signal) => {
      await waiters.wait(id, timeoutMs, signal)
      return get(id)
    },
  }
}

function requestOf(row: Row | undefined): AccessRequest | null {
  if (row === undefined) return null
  return readRequest(
    row,
    approvalsShape.parse(row).approvals.map((body) => ({ body })),
  )
}

async function insertRequest({ run }: Connection, request: AccessRequest): Promise<void> {
  const { question } = request
  await run(
    `INSERT INTO requests (id, agent, owner, upstream, digest, state, created_at_ms, expires_at_ms, not_before_ms, delay_ms, ended_by, session, nonce, question)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
    [
      request.id,
      question.subject.agent,
      question.subject.owner,
      question.upstream,
      question.digest,
      request.state,
      request.createdAtMs,
      request.expiresAtMs,
      request.notBeforeMs,
      question.delayMs,
      request.endedBy,
      request.session,
      request.nonce,
      JSON.stringify(question),
    ],
  )
}

/** In steps, not in one statement: each must see what was committed while it waited for the row before it. */
function endRequest(
  { transact }: Connection,
  id: string,
  from: readonly AccessRequest['state'][],
  to: string,
  by: string,
): Promise<boolean> {
  return transact(async (run) => {
    const { rows } = await run('SELECT state FROM requests WHERE id = $1 FOR UPDATE', [id])
    const state = rows[0]?.['state']
    if (!from.some((one) => one === state)) return false
    if (state === 'approved') {
      const voided = await run("UPDATE grants SET state = 'void' WHERE request = $1 AND state = 'open'", [id])
      if (voided.count !== 1) return false
    }
    await run('UPDATE requests SET state = $2, ended_by = $3 WHERE id = $1', [id, to, by])
    await tellVerdict(run, id)
    return true
  })
}

function approveRequest({ transact }: Connection, id: string, notBeforeMs: number, grant: Grant): Promise<boolean> {
  return transact(async (run) => {
    const { count } = await run(
      "UPDATE requests SET state = 'approved', not_before_ms = $2 WHERE id = $1 AND state = 'pending'",
      [id, notBeforeMs],
    )
    if (count !== 1) return false
    await run(
      `INSERT INTO grants (id, request, agent, digest, upstream, not_before_ms, expires_at_ms, body, state, intent)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
      [
        grant.id,
        id,
        grant.agent,
        grant.digest,
        grant.upstream,
        grant.notBeforeMs,
        grant.expiresAtMs,
        JSON.stringify(grant),
        grant.state,
        grant.intent,
      ],
    )
    await tellVerdict(run, id)
    return true
  })
}

/** Whoever waits at another gate. People answer rarely, so the lock that NOTIFY takes hurts nobody. */
async function tellVerdict(run: Connection['run'], id: string): Promise<void> {
  await run("SELECT pg_notify('sallyport', $1)", [`request ${id}`])
}
