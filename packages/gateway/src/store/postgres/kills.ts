import type { MessagePort } from 'node:worker_threads'
import { z } from 'zod'
import type { Kill, KillKind, NewKill } from '../kills.ts'
import type { Connection } from './connection.ts'
import { clean, hintOf, moveEpoch, writeKill } from './kill-row.ts'
import type { SwitchLine } from './switch-line.ts'

const epochShape = z.object({ epoch: z.number() })
const releasedShape = z.object({ ids: z.array(z.string()), epoch: z.number() })

export interface SharedKills {
  add(kill: NewKill): Promise<Kill>
  release(kind: KillKind, name: string, nowMs: number, upToId: number): Promise<number>
  inForce(): readonly Kill[]
  callOut(kind: KillKind, name: string): void
  gates(): MessagePort | null
  /** Whether the store ever had it. */
  isKnown(kind: KillKind, name: string, atMs: number): Promise<boolean>
  voidGrants(kind: KillKind, name: string): Promise<number>
  cancelRequests(kind: KillKind, name: string): Promise<number>
  /** Resolves when every other gate has stopped what was pulled or revoked here too, or can no longer write anything: its lease is over. */
  everywhere(): Promise<void>
}

/** The thread that hears and tells. */
interface KillOutlet {
  callOut(hint: string): void
  gates(): MessagePort | null
}

/** Kills that every gate hears of. What is in force is a local view: it is asked before each write upstream. */
export function openKills({ run }: Connection, line: SwitchLine, ear: KillOutlet): SharedKills {
  return {
    add: async (order) => {
      const { kill, epoch } = await writeKill(run, order)
      line.pulled(kill, epoch)
      return kill
    },
    release: async (kind, name, nowMs, upToId) => {
      const { rows } = await run(
        `WITH moved AS (${moveEpoch}),
              released AS (UPDATE kills SET released_at_ms = $3 FROM moved WHERE kind = $1 AND name = $2 AND id <= $4 AND released_at_ms IS NULL RETURNING id)
         SELECT ARRAY(SELECT id FROM released)::text[] AS ids, moved.epoch, pg_notify('sallyport', 'switch ' || moved.epoch) FROM moved`,
        [kind, clean(name), nowMs, Math.min(upToId, Number.MAX_SAFE_INTEGER)],
      )
      const { ids, epoch } = releasedShape.parse(rows[0])
      line.released(ids.map(Number), epoch)
      return ids.length
    },
    inForce: () => line.inForce(),
    callOut: (kind, name) => ear.callOut(hintOf(kind, clean(name)).trim()),
    gates: () => ear.gates(),
    isKnown: async (kind, name, atMs) => {
      const known = await run(
        'SELECT 1 FROM kills WHERE kind = $1 AND name = $2 AND (at_ms = $3 OR released_at_ms IS NULL) LIMIT 1',
        [kind, clean(name), atMs],
      )
      return known.count > 0
    },
    voidGrants: async (kind, name) => {
      await run(
        `UPDATE standing SET ended = true WHERE NOT ended AND ($1 = 'all' OR ($1 = 'agent' AND agent = $2) OR ($1 = 'owner' AND owner = $2)
           OR ($1 = 'upstream' AND upstream = $2))`,
        [kind, clean(name)],
      )
      const { count } = await run(
        `UPDATE grants SET state = 'void' FROM requests WHERE grants.request = requests.id AND grants.state = 'open' AND ${named('requests')}`,
        [kind, clean(name)],
      )
      return count
    },
    cancelRequests: async (kind, name) => {
      const { count } = await run(
        `UPDATE requests SET state = 'cancelled', ended_by = 'the kill switch' WHERE state = 'pending' AND ${named('requests')}`,
        [kind, clean(name)],
      )
      return count
    },
    everywhere: async () => {
      // What was pulled or revoked here before moved it: whoever has heard this one has heard that.
      const { rows } = await run('SELECT epoch FROM switch')
      await line.everywhere(epochShape.parse(rows[0]).epoch)
    },
  }
}

function named(table: string): string {
  return `($1 = 'all' OR ($1 = 'agent' AND ${table}.agent = $2) OR ($1 = 'session' AND ${table}.session = $2)
    OR ($1 = 'owner' AND ${table}.owner = $2) OR ($1 = 'upstream' AND ${table}.upstream = $2))`
}
