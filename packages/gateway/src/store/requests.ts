import type { DatabaseSync } from 'node:sqlite'
import { foldPerson, type AccessRequest, type Approval, type Grant, type Requests } from '@sallyport/core'
import { transact } from './database.ts'
import { readGrant, readRequest } from './row.ts'

const listMax = 500

/** Access requests and one-use grants in the embedded store. Every change is a compare-and-set, durable when it returns. */
export function openRequests(database: DatabaseSync): Requests {
  const waiting = new Map<string, Set<() => void>>()
  const wake = (id: string): void => {
    for (const listener of waiting.get(id) ?? []) listener()
  }
  const get = (id: string): AccessRequest | null => {
    const row = database.prepare('SELECT * FROM requests WHERE id = ?').get(id)
    return row === undefined ? null : withApprovals(database, row, id)
  }
  return {
    open: async (request) => insertRequest(database, request),
    get: async (id) => get(id),
    findByDigest: async (agent, digest) => {
      const row = database
        .prepare('SELECT * FROM requests WHERE agent = ? AND digest = ? ORDER BY createdAtMs DESC, rowid DESC LIMIT 1')
        .get(agent, digest)
      return row === undefined ? null : withApprovals(database, row, String(row['id']))
    },
    list: async () => {
      const rows = database.prepare('SELECT * FROM requests ORDER BY createdAtMs DESC LIMIT ?').all(listMax)
      return rows.map((row) => withApprovals(database, row, String(row['id'])))
    },
    countPending: async (agent, nowMs) =>
      Number(
        database
          .prepare("SELECT count(*) AS n FROM requests WHERE agent = ? AND state = 'pending' AND expiresAtMs > ?")
          .get(agent, nowMs)?.['n'] ?? Number.MAX_SAFE_INTEGER,
      ),
    addApproval: async (id, approval) => addApproval(database, id, approval),
    end: async (id, from, to, by) => {
      const ended = endRequest(database, id, from, to, by)
      if (ended) wake(id)
      return ended
    },
    approve: async (id, notBeforeMs, grant) => {
      const approved = approveRequest(database, id, notBeforeMs, grant)
      if (approved) wake(id)
      return approved
    },
    findGrant: async (agent, digest) => {
      const row = database
        .prepare("SELECT * FROM grants WHERE agent = ? AND digest = ? ORDER BY state = 'open' DESC, rowid DESC LIMIT 1")
        .get(agent, digest)
      return row === undefined ? null : readGrant(row)
    },
    consume: async (grantId, intent) =>
      database.prepare("UPDATE grants SET state = 'consumed', intent = ? WHERE id = ? AND state = 'open'").run(intent, grantId)
        .changes === 1,
    giveBack: async (grantId) => {
      database.prepare("UPDATE grants SET state = 'open', intent = NULL WHERE id = ? AND state = 'consumed'").run(grantId)
    },
    voidGrant: async (grantId) => {
      database.prepare("UPDATE grants SET state = 'void' WHERE id = ? AND state = 'open'").run(grantId)
    },
    consumedGrants: async () =>
      database.prepare("SELECT * FROM grants WHERE state = 'consumed' AND settled = 0 ORDER BY rowid").all().map(readGrant),
    settle: async (grantId) => {
      database.prepare('UPDATE grants SET settled = 1 WHERE id = ?').run(grantId)
    },
    waitForVerdict: (id, timeoutMs, signal) => waitForVerdict({ waiting, get }, id, timeoutMs, signal),
  }
}

interface Waiting {
  readonly waiting: Map<string, Set<() => void>>
  readonly get: (id: string) => AccessRequest | null
}

function waitForVerdict(
  { waiting, get }: Waiting,
  id: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<AccessRequest | null> {
  return new Promise((resolve) => {
    const settle = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', settle)
      const listeners = waiting.get(id)
      listeners?.delete(check)
      if (listeners?.size === 0) waiting.delete(id)
      resolve(get(id))
    }
    const check = (): void => {
      if (get(id)?.state !== 'pending') settle()
    }
    const timer = setTimeout(settle, timeoutMs)
    signal.addEventListener('abort', settle, { once: true })
    const listeners = waiting.get(id) ?? new Set()
    waiting.set(id, listeners.add(check))
    if (signal.aborted) settle()
    else check()
  })
}

function withApprovals(database: DatabaseSync, row: unknown, id: string): AccessRequest {
  return readRequest(row, database.prepare('SELECT body FROM approvals WHERE request = ? ORDER BY rowid').all(id))
}

function insertRequest(database: DatabaseSync, request: AccessRequest): void {
  database
    .prepare(
      'INSERT INTO requests (id, agent, digest, state, createdAtMs, expiresAtMs, notBeforeMs, endedBy, session, nonce, question) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    )
    .run(
      request.id,
      request.question.subject.agent,
      request.question.digest,
      request.state,
      request.createdAtMs,
      request.expiresAtMs,
      request.notBeforeMs,
      request.endedBy,
      request.session,
      request.nonce,
      JSON.stringify(request.question),
    )
}

function addApproval(database: DatabaseSync, id: string, approval: Approval): boolean {
  return transact(database, () => {
    const row = database.prepare('SELECT state FROM requests WHERE id = ?').get(id)
    if (row?.['state'] !== 'pending') return false
    return (
      database
        .prepare('INSERT INTO approvals (request, personKey, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING')
        .run(id, foldPerson(approval.person), JSON.stringify(approval)).changes === 1
    )
  })
}

function endRequest(
  database: DatabaseSync,
  id: string,
  from: readonly AccessRequest['state'][],
  to: string,
  by: string,
): boolean {
  return transact(database, () => {
    const row = database.prepare('SELECT state FROM requests WHERE id = ?').get(id)
    if (!from.some((state) => state === row?.['state'])) return false
    if (row?.['state'] === 'approved') {
      const voided = database.prepare("UPDATE grants SET state = 'void' WHERE request = ? AND state = 'open'").run(id).changes
      if (voided !== 1) return false
    }
    database.prepare('UPDATE requests SET state = ?, endedBy = ? WHERE id = ?').run(to, by, id)
    return true
  })
}

function approveRequest(database: DatabaseSync, id: string, notBeforeMs: number, grant: Grant): boolean {
  return transact(database, () => {
    const changed = database
      .prepare("UPDATE requests SET state = 'approved', notBeforeMs = ? WHERE id = ? AND state = 'pending'")
      .run(notBeforeMs, id).changes
    if (changed !== 1) return false
    database
      .prepare(
        'INSERT INTO grants (id, request, agent, digest, upstream, policyHash, targets, rowsMax, approvers, notBeforeMs, expiresAtMs, state, intent, plan) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      )
      .run(
        grant.id,
        id,
        grant.agent,
        grant.digest,
        grant.upstream,
        grant.policyHash,
        JSON.stringify(grant.targets),
        grant.rowsMax,
        JSON.stringify(grant.approvers),
        grant.notBeforeMs,
        grant.expiresAtMs,
        grant.state,
        grant.intent,
        grant.plan,
      )
    return true
  })
}
