import type { Clock, StandingGrant } from '@sallyport/core'
import { readStanding, StandingMemory } from '../standing.ts'
import type { SharedStanding } from '../store.ts'
import type { Connection } from './connection.ts'
import { moveEpoch } from './kill-row.ts'
import type { SwitchLine } from './switch-line.ts'

const endSql = `
  WITH ended AS (UPDATE standing SET ended = true WHERE request = $1 AND NOT ended RETURNING body), moved AS (${moveEpoch})
  SELECT ended.body, pg_notify('sallyport', 'switch ' || moved.epoch) FROM ended, moved`

/** Scope that people gave for a time, at any gate. What stands is part of what each gate hears: a change moves the epoch, as a kill does. */
export function openStanding({ run }: Connection, line: SwitchLine, clock: Clock, policyHash: string): SharedStanding {
  const list = (): readonly StandingGrant[] =>
    line.standing().filter((grant) => grant.policyHash === policyHash && grant.expiresAtMs > clock.nowMs())
  const memory = new StandingMemory(list, clock)
  let heard = line.standing()
  const look = async (): Promise<void> => line.look().finally(() => memory.forget())
  const end = async (request: string): Promise<StandingGrant | null> => {
    const { rows } = await run(endSql, [request])
    return rows[0] === undefined ? null : readStanding(rows[0])
  }
  return {
    of: (agent, owner, upstream) => {
      // Heard since then: what was put together is of before.
      if (line.standing() !== heard) memory.forget()
      heard = line.standing()
      return memory.of(agent, owner, upstream)
    },
    hasStood: async (request) => (await run('SELECT 1 FROM standing WHERE request = $1', [request])).count > 0,
    live: (request) => list().find((grant) => grant.request === request) ?? null,
    add: async (grant) => {
      const { request, agent, owner, upstream, expiresAtMs } = grant
      const { count } = await run(
        `WITH added AS (INSERT INTO standing (request, agent, owner, upstream, expires_at_ms, body) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT DO NOTHING RETURNING request),
         moved AS (${moveEpoch})
         SELECT pg_notify('sallyport', 'switch ' || moved.epoch) FROM added, moved`,
        [request, agent, owner, upstream, expiresAtMs, JSON.stringify(grant)],
      )
      try {
        // Whoever begins it asks next whether it was killed meanwhile, and that is known only once this gate has heard.
        await look()
      } catch (error) {
        await end(request).catch(() => undefined)
        throw error
      }
      return count === 1
    },
    list,
    end: async (request) => {
      const ended = await end(request)
      // It is in the store; a line that fails now hears of it when it is back.
      await look().catch(() => undefined)
      return ended
    },
    forget: () => memory.forget(),
  }
}
