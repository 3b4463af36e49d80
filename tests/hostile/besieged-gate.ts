import { z } from 'zod'
import { Forked } from '../fakes/forked.ts'
import { arrange, startGate } from '../servers/gate.ts'
import { startPostgres } from '../servers/postgres.ts'
import { measuredShape, type Measured } from './good-clients.ts'
import { hostileSaysShape, type HostileSays } from './hostile-clients.ts'

export interface Siege {
  /** The good clients alone, then with the hostile ones, then alone again: one run, so that the machine is the same. */
  readonly before: Measured
  readonly during: Measured
  readonly after: Measured
  readonly hostile: HostileSays
}

export interface SiegeSettings {
  readonly goodClients: number
  readonly clientsOfEach: number
  readonly quietMs: number
  readonly siegeMs: number
}

const startedShape = z.object({ started: z.literal(true) })

export async function besiege({ goodClients, clientsOfEach, quietMs, siegeMs }: SiegeSettings): Promise<Siege> {
  const postgres = await startPostgres(['max_connections=300'])
  const gate = await startGate({
    postgres,
    agents: { good: { owner: 'ada', may: ['read orders-db'] }, hostile: { owner: 'mallory', may: ['read orders-db'] } },
  })
  const good = new Forked(new URL('good-clients.ts', import.meta.url).pathname)
  const hostile = new Forked(new URL('hostile-clients.ts', import.meta.url).pathname)
  try {
    await arrange(
      postgres,
      "CREATE TABLE good_rows (id int PRIMARY KEY, note text); INSERT INTO good_rows SELECT i, 'row ' || i FROM generate_series(1, 1000) i",
    )
    const place = { port: gate.port, database: 'orders-db' }
    await good.ask(
      { ask: 'start', ...place, agent: 'good', handle: await gate.issue('good'), clients: goodClients },
      startedShape,
    )
    // What compiles and warms up is not what is compared.
    await measure(good, quietMs)
    const before = await measure(good, quietMs)
    await hostile.ask(
      { ask: 'start', ...place, agent: 'hostile', handle: await gate.issue('hostile'), clientsOfEach },
      startedShape,
    )
    const during = await measure(good, siegeMs)
    const said = await hostile.ask({ ask: 'stop' }, hostileSaysShape)
    await hostile.stop()
    const after = await measure(good, quietMs)
    return { before, during, after, hostile: said }
  } finally {
    await good.stop()
    await hostile.stop()
    await gate.stop()
    await postgres.stop()
  }
}

/** What the good clients see in this time: the time is what is measured, nothing is waited for. */
async function measure(good: Forked, ms: number): Promise<Measured> {
  await good.ask({ ask: 'measure' }, measuredShape)
  const untilMs = performance.now() + ms
  while (performance.now() < untilMs) await new Promise((resolve) => setTimeout(resolve, 50))
  return good.ask({ ask: 'measure' }, measuredShape)
}
