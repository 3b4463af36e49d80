import type { DatabaseSync } from 'node:sqlite'
import { impactKinds, nothingStands, type Clock, type Standing, type StandingGrant, type StandingGrants } from '@sallyport/core'
import { z } from 'zod'

const body: z.ZodType<StandingGrant> = z.object({
  request: z.string(),
  agent: z.string(),
  owner: z.string(),
  upstream: z.string(),
  scopes: z.array(z.object({ kinds: z.array(z.enum(impactKinds)), action: z.string().nullable(), upstream: z.string() })),
  reason: z.string(),
  approvers: z.array(z.string()),
  policyHash: z.string(),
  fromMs: z.number(),
  expiresAtMs: z.number(),
})

/** Scope that people gave for a time. Durable before a promise resolves. */
export interface StandingStore extends StandingGrants {
  /** Whether this request's ever began, whether or not its time is over. */
  hasStood(request: string): boolean
  /** Null: it does not stand now. */
  live(request: string): StandingGrant | null
  /** False: this request's stands already, or has stood. */
  add(grant: StandingGrant): boolean
  list(): readonly StandingGrant[]
  /** Null: nothing stands for that request. */
  end(request: string): StandingGrant | null
  /** Somebody else changed the store: a kill. */
  forget(): void
}

/** @param policyHash of the policy in force: what was given under another one stands no longer */
export function openStanding(database: DatabaseSync, clock: Clock, policyHash: string): StandingStore {
  const known = new Map<string, Standing>()
  const list = (): readonly StandingGrant[] =>
    database
      .prepare('SELECT body FROM standing WHERE ended = 0 AND expiresAtMs > ? ORDER BY rowid')
      .all(clock.nowMs())
      .map((row) => readBody(row))
      .filter((grant) => grant.policyHash === policyHash)
  const find = (request: string): StandingGrant | null => {
    const row = database.prepare('SELECT body FROM standing WHERE request = ?').get(request)
    return row === undefined ? null : readBody(row)
  }
  const look = (agent: string, owner: string, upstream: string): Standing => {
    const mine = list().filter((grant) => grant.agent === agent && grant.owner === owner && grant.upstream === upstream)
    if (mine.length === 0) return nothingStands
    return { scopes: mine.flatMap(({ scopes }) => scopes), endsMs: Math.min(...mine.map(({ expiresAtMs }) => expiresAtMs)) }
  }
  return {
    of: (agent, owner, upstream) => {
      const key = JSON.stringify([agent, owner, upstream])
      const kept = known.get(key)
      if (kept !== undefined && (kept.endsMs === null || kept.endsMs > clock.nowMs())) return kept
      if (known.size >= keptMax) known.clear()
      const standing = look(agent, owner, upstream)
      known.set(key, standing)
      return standing
    },
    hasStood: (request) => find(request) !== null,
    live: (request) => list().find((grant) => grant.request === request) ?? null,
    add: (grant) => {
      const { request, agent, owner, upstream, expiresAtMs } = grant
      const added = database
        .prepare(
          'INSERT INTO standing (request, agent, owner, upstream, expiresAtMs, body) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
        )
        .run(request, agent, owner, upstream, expiresAtMs, JSON.stringify(grant)).changes
      known.clear()
      return added === 1
    },
    list,
    end: (request) => {
      const ended = database.prepare('UPDATE standing SET ended = 1 WHERE request = ? AND ended = 0').run(request).changes
      known.clear()
      return ended === 1 ? find(request) : null
    },
    forget: () => known.clear(),
  }
}

/** Agents on upstreams whose standing grants are remembered. Past it all are looked up anew. */
const keptMax = 10_000

function readBody(row: { readonly [column: string]: unknown }): StandingGrant {
  return body.parse(JSON.parse(z.string().parse(row['body'])))
}
