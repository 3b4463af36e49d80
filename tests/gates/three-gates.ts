import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { Forked } from '../fakes/forked.ts'
import { startSeveringRelay, type SeveringRelay } from '../fakes/severing-relay.ts'
import { arrange, gatewayMain, makeRoles, startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer, type RestartablePostgres } from '../servers/postgres.ts'

/** One of three: its machine's clock is right, ahead or behind by five minutes; it reaches the store over a cable of its own. */
export interface ThirdGate {
  readonly number: number
  readonly gate: TestGate
  readonly cable: SeveringRelay
  /** Between this gate and the upstream, in a process of its own: it counts. */
  readonly counter: Forked
  readonly program: string
}

/** Three gates on one store, which is on another server than the upstream. */
export interface ThreeGates extends AsyncDisposable {
  readonly upstream: PostgresServer
  readonly store: RestartablePostgres
  readonly gates: readonly ThirdGate[]
}

const programs = [
  gatewayMain,
  ...['./gate-ahead.ts', './gate-behind.ts'].map((name) => fileURLToPath(new URL(name, import.meta.url))),
]
const portShape = z.object({ port: z.number() })

export async function openThreeGates(agents: readonly string[]): Promise<ThreeGates> {
  const stack = new AsyncDisposableStack()
  try {
    const upstream = await startPostgres(['max_connections=400'])
    stack.defer(() => upstream.stop())
    const store = await startPostgres()
    stack.defer(() => store.stop())
    await store.query('CREATE DATABASE gates')
    // Each gate finds the roles made: three at once would all make them.
    await makeRoles(upstream)
    const gates: ThirdGate[] = []
    for (const [number, program] of programs.entries())
      gates.push(await openGate({ upstream, store, agents, number, program }, stack))
    await arrange(
      upstream,
      'CREATE TABLE kill_rows (id int); INSERT INTO kill_rows SELECT generate_series(1, 100); CREATE TABLE kill_log (who text)',
    )
    return { upstream, store, gates, [Symbol.asyncDispose]: () => stack.disposeAsync() }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

interface Place {
  readonly upstream: PostgresServer
  readonly store: PostgresServer
  readonly agents: readonly string[]
  readonly number: number
  readonly program: string
}

async function openGate({ upstream, store, agents, number, program }: Place, stack: AsyncDisposableStack): Promise<ThirdGate> {
  const cable = await startSeveringRelay(store.port)
  stack.defer(() => cable.close())
  const counter = new Forked(new URL('../fakes/counting-relay.ts', import.meta.url).pathname, [String(upstream.port)])
  stack.defer(() => counter.stop())
  const { port } = await counter.next(portShape)
  const gate = await startGate({
    postgres: upstream,
    mode: 'solo',
    agents: Object.fromEntries(agents.map((name) => [name, { owner: `owner-of-${name}`, may: ['any orders-db'] }])),
    upstreams: { 'orders-db': { port } },
    limits: { rowsWithoutPrompt: 0 },
    wait: '0ms',
    gatewayProgram: program,
    storeUrl: store.url('gates').replace(`:${store.port}/`, `:${cable.port}/`),
  })
  stack.defer(() => gate.stop())
  return { number, gate, cable, counter, program }
}
