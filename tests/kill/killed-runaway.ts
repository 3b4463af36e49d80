import { z } from 'zod'
import { pullSwitch } from '../../packages/cli/src/switch-client.ts'
import { relayCountsShape, type RelayCounts } from '../fakes/counting-relay.ts'
import { Forked } from '../fakes/forked.ts'
import type { HttpPerson } from '../fakes/http-person.ts'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { kinds, runaway, runawaySaysShape, type Kind, type RunawayAsk } from './runaway.ts'

/** What a kill was aimed at in one run. */
const scopes = ['agent', 'session', 'owner', 'upstream', 'all', 'agent', 'session', 'owner', 'agent', 'session'] as const
export type KillScopeKind = (typeof scopes)[number]

/** One runaway agent, one kill. */
export interface KillRun {
  readonly scope: KillScopeKind
  readonly pumped: readonly Kind[]
  /** Bytes of the agent's that the relay read after the kill's response had been read here. Must be 0. */
  readonly bytesAfterResponse: number
  /** From sending the kill to the last byte of the agent's that the relay read; below 0 when none came after. */
  readonly lastByteMs: number
  readonly responseMs: number
  /** From the switch's hearing of it until the gate's thread had ended the sessions, as the switch says: the gate's own part of `lastByteMs`. */
  readonly haltMs: number
  /** From sending the kill until the server had no statement of the gate's running: what ran was cancelled. */
  readonly serverIdleMs: number
  readonly bytesBefore: number
  readonly cancels: number
  /** Sessions that the killed agent got afterwards. Must be 0. */
  readonly admitted: number
  readonly sqlStates: readonly string[]
  /** Another agent, on another upstream, still works; null when everything was killed. */
  readonly bystanderWorks: boolean | null
}

export interface KillStage extends AsyncDisposable {
  run(number: number): Promise<KillRun>
}

const portShape = z.object({ port: z.number() })
const sessionsShape = z.object({ sessions: z.array(z.object({ id: z.string(), subject: z.object({ agent: z.string() }) })) })
const waitMaxMs = 20_000

/** Server, relay, gate and runaway, each a process of its own. @param runs how many agents the gate must know */
export async function openKillStage(runs: number): Promise<KillStage> {
  const postgres = await startPostgres()
  const relay = new Forked(new URL('../fakes/counting-relay.ts', import.meta.url).pathname, [String(postgres.port)])
  const { port } = await relay.next(portShape)
  const agents = Object.fromEntries(
    Array.from({ length: runs }, (_, number) => [`runaway-${number}`, { owner: `owner-${number}`, may: ['write orders-db'] }]),
  )
  const gate = await startGate({
    postgres,
    agents: { ...agents, bystander: { owner: 'bob', may: ['read side-db'] } },
    upstreams: { 'orders-db': { port }, 'side-db': {} },
  })
  await arrange(
    postgres,
    'CREATE TABLE kill_rows (id int); INSERT INTO kill_rows SELECT generate_series(1, 100); CREATE TABLE kill_log (who text)',
  )
  const person = await gate.person('ada')
  const agent = new Forked(runaway)
  const stage: Stage = { postgres, relay, gate, person, agent }
  return {
    run: (number) => runOnce(stage, number),
    [Symbol.asyncDispose]: async () => {
      await agent.stop()
      await gate.stop()
      await relay.stop()
      await postgres.stop()
    },
  }
}

interface Stage {
  readonly postgres: PostgresServer
  readonly relay: Forked
  readonly gate: TestGate
  readonly person: HttpPerson
  readonly agent: Forked
}

async function runOnce(stage: Stage, number: number): Promise<KillRun> {
  const { gate, relay, agent, person, postgres } = stage
  const scope = scopes[number % scopes.length] ?? 'agent'
  const name = `runaway-${number}`
  // The death of one session ends one connection; the agent may come back, which is not what is tried here.
  const pumped = scope === 'session' ? [kinds[Math.floor(number / 3) % 4] ?? 'simple read'] : kinds
  await relay.ask({ ask: 'forget' }, z.object({ forgotten: z.literal(true) }))
  const bystander = await gate.connect('bystander', { database: 'side-db' })
  const ask: RunawayAsk = {
    port: gate.port,
    agent: name,
    handle: await gate.issue(name),
    database: 'orders-db',
    kinds: [...pumped],
    returns: scope === 'session' ? 0 : 3,
  }
  await agent.ask(ask, runawaySaysShape)
  const bytesBefore = await untilMore(relay)
  const target = await targetOf(gate, scope, name)

  const sentNs = process.hrtime.bigint()
  const killed = await pullSwitch(gate.directory, { kind: target.kind, name: target.name, reason: 'a runaway', drain: false })
  const answeredNs = process.hrtime.bigint()

  if (killed.state !== 'acknowledged') throw new Error('the gate did not confirm the kill within its lease')
  const serverIdleMs = await untilServerIdle(postgres, sentNs)
  const said = await agent.next(runawaySaysShape)
  const after = await untilClosed(relay, answeredNs)
  const ended = said.says === 'ended' ? said : null
  const works = scope === 'all' ? null : (await bystander.run('SELECT 1')).sqlState === '00000'
  await bystander.close()
  if (scope === 'all' || scope === 'upstream') {
    const released = await person.release(String(killed.id))
    if (released.status !== 200) throw new Error(`the kill was not released: ${JSON.stringify(released.body)}`)
  }
  return {
    scope,
    pumped,
    serverIdleMs,
    bytesBefore,
    bytesAfterResponse: after.bytesAfter,
    lastByteMs: milliseconds(sentNs, BigInt(after.lastByteNs)),
    responseMs: milliseconds(sentNs, answeredNs),
    haltMs: killed.haltMs,
    cancels: after.cancels,
    admitted: ended?.admitted ?? Number.NaN,
    sqlStates: ended?.sqlStates ?? [],
    bystanderWorks: works,
  }
}

function milliseconds(fromNs: bigint, toNs: bigint): number {
  return Number(toNs - fromNs) / 1e6
}

async function targetOf(
  gate: TestGate,
  scope: KillScopeKind,
  agent: string,
): Promise<{ readonly kind: string; readonly name: string }> {
  switch (scope) {
    case 'agent':
      return { kind: 'agent', name: agent }
    case 'owner':
      return { kind: 'owner', name: agent.replace('runaway', 'owner') }
    case 'upstream':
      return { kind: 'upstream', name: 'orders-db' }
    case 'all':
      return { kind: 'all', name: '' }
    case 'session': {
      const { sessions } = await gate.get('/api/v1/sessions', sessionsShape)
      const own = sessions.find(({ subject }) => subject.agent === agent)
      if (own === undefined) throw new Error(`${agent} has no session`)
      return { kind: 'session', name: own.id }
    }
  }
}

function countsOf(relay: Forked, afterNs = 0n): Promise<RelayCounts> {
  return relay.ask({ ask: 'counts', afterNs: String(afterNs) }, relayCountsShape)
}

/** The agent is at it while we look: bytes are still coming. */
async function untilMore(relay: Forked): Promise<number> {
  const first = await countsOf(relay)
  const deadline = Date.now() + waitMaxMs
  for (;;) {
    const now = await countsOf(relay)
    if (now.bytes > first.bytes) return now.bytes
    if (Date.now() > deadline) throw new Error('the runaway sends nothing')
  }
}

async function untilClosed(relay: Forked, afterNs: bigint): Promise<RelayCounts> {
  const deadline = Date.now() + waitMaxMs
  for (;;) {
    const counts = await countsOf(relay, afterNs)
    if (counts.open === 0) return counts
    if (Date.now() > deadline) throw new Error(`${counts.open} connections to the server are still open`)
  }
}

async function untilServerIdle(postgres: PostgresServer, sinceNs: bigint): Promise<number> {
  const deadline = Date.now() + waitMaxMs
  for (;;) {
    const busy = await postgres.query("SELECT query FROM pg_stat_activity WHERE usename = 'app_use' AND state = 'active'")
    if (busy.length === 0) return milliseconds(sinceNs, process.hrtime.bigint())
    if (Date.now() > deadline) throw new Error(`still runs at the server: ${JSON.stringify(busy)}`)
  }
}

/** The value below which `share` of the runs lie. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}
