import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { z } from 'zod'
import { pullSwitch } from '../switch-client.ts'
import type { AgentAddress } from './agent-client.ts'
import { openStage, type Stage } from './stage.ts'

/** Connections of another agent that keep the gate busy all the while. */
const loadConnections = 8
/** Bytes of a canary's that the relay has counted before it is killed: it is at full speed by then. */
const canaryBytesMin = 2_000
const pollMs = 2
const waitMaxMs = 20_000

interface KillRun {
  /** From the request to the last byte of the canary's at the relay; 0 when none came after the request. */
  readonly haltMs: number
  /** From the request to its acknowledgement. */
  readonly acknowledgedMs: number
  /** Of the canary's, counted by the relay after the acknowledgement was read. Must be 0. */
  readonly bytesAfter: number
}

const sessionsShape = z.object({ sessions: z.array(z.object({ id: z.string(), subject: z.object({ agent: z.string() }) })) })

/** On a stage of its own: the relay that counts is a process of its own, and carries the canary alone. True when no byte came late. */
export async function drillKill(runs: number, json: boolean): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), 'sallyport-drill-'))
  const say = (line: string): void => void (json ? process.stderr : process.stdout).write(`${line}\n`)
  say('Building a stage: two databases, relays, a vault, a gate, an agent that keeps it busy …')
  const stage = await openStage(directory, () => Date.now())
  const load = new Load()
  try {
    await load.start(await stage.addressOf('coder', 'production'))
    const done: KillRun[] = []
    for (let run = 0; run < runs; run += 1) done.push(await killCanary(stage))
    const result = {
      runs,
      haltMs: spread(done.map(({ haltMs }) => haltMs)),
      acknowledgedMs: spread(done.map(({ acknowledgedMs }) => acknowledgedMs)),
      bytesAfterAcknowledgement: done.reduce((sum, { bytesAfter }) => sum + bytesAfter, 0),
      loadStatements: load.statements,
    }
    if (json) process.stdout.write(`${JSON.stringify(result)}\n`)
    else say(describe(result))
    return result.bytesAfterAcknowledgement === 0
  } finally {
    await load.stop()
    await stage.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

interface Spread {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

function describe(result: {
  readonly runs: number
  readonly haltMs: Spread
  readonly acknowledgedMs: Spread
  readonly bytesAfterAcknowledgement: number
  readonly loadStatements: number
}): string {
  const line = ({ p50, p99, max }: Spread): string => `p50 ${p50} ms, p99 ${p99} ms, at most ${max} ms`
  return [
    `${result.runs} canary sessions killed at full speed, while another agent ran ${result.loadStatements} statements.`,
    `  from the request to the last byte upstream:  ${line(result.haltMs)}`,
    `  from the request to its acknowledgement:     ${line(result.acknowledgedMs)}`,
    `  bytes upstream after the acknowledgement:    ${result.bytesAfterAcknowledgement}`,
  ].join('\n')
}

function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((left, right) => left - right)
  const at = (share: number): number =>
    Number((sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(2))
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}

async function killCanary(stage: Stage): Promise<KillRun> {
  const before = await stage.stagingTraffic()
  const canary = await connect(await stage.addressOf('stray', 'staging'))
  const ended = runStatements(canary, () => undefined)
  await until('the canary to run', async () => (await stage.stagingTraffic()).bytes > before.bytes + canaryBytesMin)
  const { sessions } = await stage.control.get('/api/v1/sessions', sessionsShape)
  const session = sessions.find(({ subject }) => subject.agent === 'stray')
  if (session === undefined) throw new Error('the canary has no session')
  const sentNs = process.hrtime.bigint()
  await pullSwitch(stage.directory, { kind: 'session', name: session.id, reason: 'drill', drain: false })
  const acknowledgedNs = process.hrtime.bigint()
  const atKill = await stage.stagingTraffic()
  await ended
  const after = await stage.stagingTraffic()
  const milliseconds = (fromNs: bigint, toNs: bigint): number => Math.max(0, Number(toNs - fromNs) / 1e6)
  return {
    haltMs: milliseconds(sentNs, after.lastNs),
    acknowledgedMs: milliseconds(sentNs, acknowledgedNs),
    // What was counted before we had read the counter may have come a moment after; by its time it did not.
    bytesAfter: after.lastNs > acknowledgedNs ? Math.max(1, after.bytes - atKill.bytes) : 0,
  }
}

async function connect({ host, port, agent, handle, database }: AgentAddress): Promise<pg.Client> {
  const client = new pg.Client({ host, port, user: agent, password: handle, database })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** One after the other, as fast as they are answered, until one fails. */
async function runStatements(client: pg.Client, ran: () => void): Promise<void> {
  try {
    for (let id = 0; ; id += 1) {
      await client.query(`SELECT count(*) FROM customers WHERE id > ${id % 1000}`)
      ran()
    }
  } catch {
    // However it ended: the relay says what became of it.
  }
}

class Load {
  statements = 0
  readonly #clients: pg.Client[] = []
  readonly #running: Promise<void>[] = []

  async start(address: AgentAddress): Promise<void> {
    for (let number = 0; number < loadConnections; number += 1) {
      const client = await connect(address)
      this.#clients.push(client)
      this.#running.push(runStatements(client, () => (this.statements += 1)))
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.end().catch(() => undefined)))
    await Promise.all(this.#running)
  }
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (const deadlineMs = Date.now() + waitMaxMs; !(await isSo()); await sleep(pollMs)) {
    if (Date.now() > deadlineMs) throw new Error(`waited ${waitMaxMs} ms for ${what}`)
  }
}
