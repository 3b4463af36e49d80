import type { Event } from '@sallyport/core'
import { z } from 'zod'
import { arrange } from '../servers/gate.ts'
import { seeded } from '../proofs/seeded.ts'
import { keepBusy, type Fleet } from './agents.ts'
import { makeTrouble, type Trouble } from './trouble.ts'
import { openThreeGates, type ThreeGates } from './three-gates.ts'

export interface ChaosSettings {
  readonly seed: number
  readonly agents: number
  readonly width: number
  readonly forMs: number
  readonly grants: number
  readonly victims: number
}

/** What a run showed. All of `wrong` must be empty. */
export interface ChaosResult {
  readonly told: readonly string[]
  readonly answers: Readonly<Record<string, number>>
  readonly sent: number
  readonly rows: number
  readonly intents: number
  readonly unknown: number
  readonly grantsUsed: number
  readonly kills: number
  readonly killsAcknowledgedEverywhere: number
  readonly acknowledgedMs: readonly number[]
  readonly wrong: {
    readonly operationsThatRanTwice: readonly string[]
    readonly operationsWithoutIntent: readonly string[]
    readonly operationsAfterTheirKill: readonly string[]
    readonly grantsUsedTwice: readonly string[]
    readonly killsThatTheStoreForgot: readonly string[]
  }
}

export async function runChaos(settings: ChaosSettings): Promise<ChaosResult> {
  const chance = seeded(settings.seed)
  const names = Array.from({ length: settings.agents }, (_, number) => `agent-${number}`)
  const users = Array.from({ length: settings.grants }, (_, number) => `user-${number}`)
  await using stage = await openThreeGates([...names, ...users])
  await arrange(
    stage.upstream,
    'CREATE TABLE ran (op int, agent text, gate int, at timestamptz NOT NULL DEFAULT clock_timestamp())',
  )
  const handles = await issueAll(stage, [...names, ...users])
  const grants = await approveAll(stage, users, handles)
  const fleet: Fleet = { stage, chance, handles, grants, visitors: names, answers: new Map(), sent: 0 }
  let over = false
  const busy = keepBusy(fleet, settings.width, () => over)
  const trouble = await makeTrouble(stage, names.slice(0, settings.victims), seeded(settings.seed + 1), settings.forMs)
  over = true
  await busy
  await untilAllServe(stage, names.at(-1) ?? '', handles)
  return await judge(stage, fleet, trouble)
}

async function issueAll({ gates }: ThreeGates, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const handles = new Map<string, string>()
  for (const [index, name] of names.entries()) handles.set(name, (await gates[index % gates.length]?.gate.issue(name)) ?? '')
  return handles
}

/** One approval each, by a person at the first gate, for what was asked at any of them. */
async function approveAll(
  { upstream, gates }: ThreeGates,
  users: readonly string[],
  handles: ReadonlyMap<string, string>,
): Promise<Fleet['grants']> {
  const first = gates[0]?.gate
  const person = await first?.person('bob')
  const grants: { agent: string; table: string }[] = []
  for (const [index, agent] of users.entries()) {
    const table = `once_${index}`
    await arrange(upstream, `CREATE TABLE ${table} (id int PRIMARY KEY, n int); INSERT INTO ${table} VALUES (1, 0)`)
    const asker = await gates[index % gates.length]?.gate.connect(agent, { handle: handles.get(agent) ?? '' })
    await asker?.run(`UPDATE ${table} SET n = n + 1`)
    await asker?.close()
    await person?.approve((await first?.pendingRequest(agent)) ?? '')
    grants.push({ agent, table })
  }
  return grants
}

const serveMaxMs = 90_000

async function untilAllServe({ gates }: ThreeGates, agent: string, handles: ReadonlyMap<string, string>): Promise<void> {
  const deadline = performance.now() + serveMaxMs
  for (const { gate, number } of gates) {
    for (;;) {
      const back = await gate.connect(agent, { handle: handles.get(agent) ?? '' }).catch(() => null)
      const ran = await back?.run('SELECT 1')
      await back?.close()
      if (ran?.sqlState === '00000') break
      if (performance.now() > deadline) throw new Error(`gate ${number} does not serve again: ${ran?.message ?? 'no connection'}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

const opPattern = /VALUES \((\d+),/
const countShape = z.array(z.object({ name: z.string(), count: z.number() }))

/** From the upstream's own rows, the store's, and the three logs. */
async function judge({ upstream, store, gates }: ThreeGates, fleet: Fleet, { kills, told }: Trouble): Promise<ChaosResult> {
  const events: readonly Event[] = gates.flatMap(({ gate }) => gate.events())
  const ofType = (type: Event['type']): readonly Event[] => events.filter((event) => event.type === type)
  const rows = countShape.parse(await upstream.query('SELECT op::text AS name, count(*)::int AS count FROM ran GROUP BY op'))
  const intended = new Set(ofType('intent').flatMap(({ data }) => opPattern.exec(JSON.stringify(data['text'] ?? ''))?.[1] ?? []))
  const late = []
  for (const { agent, after, everywhere } of kills) {
    if (!everywhere) continue
    const found = await upstream.query('SELECT op FROM ran WHERE agent = $1 AND at > $2::timestamptz', [agent, after])
    late.push(...found.map(({ op }) => `${String(op)} of ${agent}`))
  }
  const used = countShape.parse(
    await Promise.all(
      fleet.grants.map(async ({ table }) => ({ name: table, count: (await upstream.query(`SELECT n FROM ${table}`))[0]?.['n'] })),
    ),
  )
  const known = (await store.query('SELECT name FROM sallyport.kills', [], 'gates')).map(({ name }) => name)
  const everywhere = kills.filter((kill) => kill.everywhere)
  return {
    told,
    answers: Object.fromEntries([...fleet.answers].toSorted(([left], [right]) => left.localeCompare(right))),
    sent: fleet.sent,
    rows: rows.length,
    intents: ofType('intent').length,
    unknown: ofType('outcome').filter(({ data }) => data['result'] === 'unknown').length,
    grantsUsed: used.filter(({ count }) => count > 0).length,
    kills: kills.length,
    killsAcknowledgedEverywhere: everywhere.length,
    acknowledgedMs: everywhere.map(({ tookMs }) => Math.round(tookMs)).toSorted((left, right) => left - right),
    wrong: {
      operationsThatRanTwice: rows.filter(({ count }) => count > 1).map(({ name }) => name),
      operationsWithoutIntent: rows.filter(({ name }) => !intended.has(name)).map(({ name }) => name),
      operationsAfterTheirKill: late,
      grantsUsedTwice: used.filter(({ count }) => count > 1).map(({ name }) => name),
      killsThatTheStoreForgot: kills.filter(({ agent }) => !known.includes(agent)).map(({ agent }) => agent),
    },
  }
}
