import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { z } from 'zod'
import type { Event } from '@sallyport/core'
import { casesOf } from '../breadth.ts'
import type { HttpAnswer, HttpPerson } from '../fakes/http-person.ts'
import { arrange, gatewayMain, startGate, type AgentConnection, type Ran, type TestGate } from '../servers/gate.ts'
import type { PostgresServer } from '../servers/postgres.ts'
import { agentOf, countExecutions, deeds, passageOf, rowsWithoutPrompt, type Passage } from './passage.ts'

const program = fileURLToPath(new URL('../fakes/halting-gate.ts', import.meta.url))
/** More than there are steps; a deed with more fails loudly. */
const agentsPerDeed = 80
/** One signed-in browser may sign so often a minute; then the person opens another. */
const verdictsPerBrowser = 25
const waitMaxMs = 120_000
export const atServer = 'while it runs at the server'

/** What was found after a gate was killed with every passage halted at its own step, and after a normal gate started on what was left. */
export interface Crashed {
  readonly gate: TestGate
  readonly postgres: PostgresServer
  readonly passages: readonly Passage[]
  /** The log and the server as the dead gate left them. */
  readonly eventsAtCrash: readonly Event[]
  readonly executionsAtCrash: ReadonlyMap<string, number>
  /** The log once the next gate was ready. */
  readonly eventsAfter: readonly Event[]
}

/**
 * Learns the steps of each deed by letting one run through, then lets one agent halt before and one after each of them, all in one gate, and
 * kills it when all have halted. A halt stops one request alone: what it must leave behind does not depend on the others.
 */
export async function crashAtEveryStep(postgres: PostgresServer): Promise<Crashed> {
  const numbers = Array.from({ length: agentsPerDeed }, (_, index) => index)
  const agents = Object.fromEntries(
    // An owner each: the budget of rows without a prompt is shared by an owner's agents.
    deeds.flatMap((deed) =>
      numbers.map((number) => [agentOf(deed, number), { owner: `owner-of-${agentOf(deed, number)}`, may: ['any orders-db'] }]),
    ),
  )
  // Solo mode, without a cool-off: in team mode nobody approves for owners who are not enrolled, and these are too many to enrol.
  const gate = await startGate({
    postgres,
    mode: 'solo',
    agents,
    limits: { rowsWithoutPrompt },
    gatewayProgram: program,
    wait: '60s',
  })
  const people = new Approvers(gate, await gate.person('bob'))
  const scouts = await Promise.all(deeds.map(async (deed) => passageOf(deed, 0, null, await gate.issue(agentOf(deed, 0)))))
  await runAll(gate, postgres, scouts, people)
  const passages: Passage[] = []
  for (const { deed, agent } of scouts) {
    const halts = stepsOf(gate, agent)
    if (halts.length >= agentsPerDeed)
      throw new Error(`${deed.name} has ${halts.length} steps, and there are ${agentsPerDeed} agents`)
    for (const [index, halt] of haltsOfRun(deed.name, halts).entries())
      passages.push(passageOf(deed, index + 1, halt, await gate.issue(agentOf(deed, index + 1))))
  }
  const release = await sendIntoLock(gate, postgres, passages)
  writeFileSync(
    join(gate.directory, 'halts.json'),
    JSON.stringify(Object.fromEntries(passages.map(({ agent, halt }) => [agent, halt]))),
  )
  await runAll(
    gate,
    postgres,
    passages.filter(({ halt }) => halt !== atServer),
    people,
  )
  await gate.crash()
  await release()
  await waitUntilServerIsQuiet(postgres)
  const eventsAtCrash = gate.events()
  const executionsAtCrash = new Map<string, number>()
  for (const passage of passages) executionsAtCrash.set(passage.agent, await countExecutions(postgres, passage))
  setWait(gate, '1ms')
  await gate.start(gatewayMain)
  return { gate, postgres, passages, eventsAtCrash, executionsAtCrash, eventsAfter: gate.events() }
}

/** One statement is with the server when the gate dies: it waits there for a lock, and runs once nobody can hear of it any more. */
async function sendIntoLock(gate: TestGate, postgres: PostgresServer, passages: Passage[]): Promise<() => Promise<void>> {
  const deed = deeds.find(({ name }) => name === 'insert')
  if (deed === undefined) throw new Error('there is no deed called insert')
  const number = agentsPerDeed - 1
  const passage = passageOf(deed, number, atServer, await gate.issue(agentOf(deed, number)))
  passages.push(passage)
  await arrange(postgres, deed.arrange(passage.table))
  const blocker = new pg.Client({ connectionString: postgres.url() })
  await blocker.connect()
  await blocker.query(`BEGIN; LOCK TABLE ${passage.table} IN SHARE ROW EXCLUSIVE MODE`)
  const connection = await gate.connect(passage.agent, { handle: passage.handle })
  void connection.run(deed.statement(passage.table))
  const waiting = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO ${passage.table}%'`
  await waitFor('the statement to wait at the server', async () => (await postgres.query(waiting)).length === 1)
  return async () => {
    await blocker.query('ROLLBACK')
    await blocker.end()
  }
}

/** A statement that waits for people is refused with its request's id at once from now on. */
function setWait(gate: TestGate, wait: string): void {
  const configuration: unknown = JSON.parse(readFileSync(gate.configuration, 'utf8'))
  writeFileSync(gate.configuration, JSON.stringify({ ...z.record(z.string(), z.json()).parse(configuration), wait }))
}

function traceOf(gate: TestGate): readonly (readonly [agent: string, step: string])[] {
  const file = join(gate.directory, 'trace.txt')
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => {
    const [agent = '', step = ''] = line.split('\t')
    return [agent, step]
  })
}

const isHalt = /^halted /
const isVerdictHalt = /^halted (before|after) verdict /

function haltedIn(gate: TestGate, pattern: RegExp): ReadonlySet<string> {
  return new Set(traceOf(gate).flatMap(([agent, step]) => (pattern.test(step) ? [agent] : [])))
}

/** What these methods do cannot be seen afterwards: halted after one of them, a gate leaves what it leaves before the next step. */
const looks = /^after .*\.(describe|resolve|get|findByDigest|findGrant|countPending|waitForVerdict|spent) /

function stepsOf(gate: TestGate, agent: string): readonly string[] {
  return traceOf(gate).flatMap(([who, step]) => (who === agent && !looks.test(step) ? [step] : []))
}

/** Where a short run halts whatever is left out: around each promise of a copy, an approval and an intent. */
const milestones: Readonly<Record<'drop' | 'others', RegExp>> = {
  drop: /^before connector\.describe 1$|^(before|after) (log\.append (intent|outcome)|requests\.(open|consume)|verdict (log\.append verdict|requests\.approve)|vault\.seal|connector\.snapshot) 1$/,
  others: /^before connector\.describe 1$|^(before|after) log\.append (intent|outcome) 1$/,
}
const furtherHalts = 1

/** All of them in the long proof; in a short run the milestones and a few of the rest. */
function haltsOfRun(deed: string, halts: readonly string[]): readonly string[] {
  const milestone = deed === 'drop' ? milestones.drop : milestones.others
  const rest = new Set(
    casesOf(
      halts.filter((halt) => !milestone.test(halt)),
      furtherHalts,
    ),
  )
  return halts.filter((halt) => milestone.test(halt) || rest.has(halt))
}

/** Starts every passage's statement; resolves when each has halted, or ended if it halts nowhere. */
async function runAll(gate: TestGate, postgres: PostgresServer, passages: readonly Passage[], people: Approvers): Promise<void> {
  await arrange(postgres, passages.map(({ deed, table }) => deed.arrange(table)).join('; '))
  const connections: AgentConnection[] = []
  const done = new Set<string>()
  const ended: string[] = []
  for (const { agent, handle, deed, table } of passages) {
    const connection = await gate.connect(agent, { handle })
    connections.push(connection)
    void connection.run(deed.statement(table)).then(({ sqlState, message }) => {
      if (sqlState === '00000') done.add(agent)
      else ended.push(`${agent}: ${sqlState} ${message}`)
    })
  }
  const deadline = Date.now() + waitMaxMs
  for (;;) {
    for (const agent of haltedIn(gate, isHalt)) done.add(agent)
    const missing = passages.filter(({ agent }) => !done.has(agent))
    if (missing.length === 0) break
    if (ended.length > 0) throw new Error(`refused: ${ended.join('; ')}`)
    if (Date.now() > deadline)
      throw new Error(`never came there: ${missing.map(({ agent, halt }) => `${agent} ${halt ?? 'to its end'}`).join('; ')}`)
    await people.approveWhatWaits()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  if (passages.every(({ halt }) => halt === null)) for (const connection of connections) await connection.close()
}

const pendingShape = z.object({ requests: z.array(z.object({ id: z.string(), agent: z.string(), state: z.string() })) })

class Approvers {
  readonly #gate: TestGate
  readonly #person: HttpPerson
  readonly #asked = new Set<string>()

  constructor(gate: TestGate, person: HttpPerson) {
    this.#gate = gate
    this.#person = person
  }

  async approveWhatWaits(): Promise<void> {
    const { requests } = await this.#gate.get('/api/v1/requests', pendingShape)
    for (const { id, agent, state } of requests) {
      if (state !== 'pending' || this.#asked.has(id)) continue
      this.#asked.add(id)
      if (this.#asked.size % verdictsPerBrowser === 0) await this.#person.signIn()
      // A verdict may halt too, and then never answers.
      const answers: HttpAnswer[] = []
      void this.#person.give(id, 'approve').then(
        (given) => answers.push(given),
        () => undefined,
      )
      const deadline = Date.now() + waitMaxMs
      while (answers.length === 0 && !haltedIn(this.#gate, isVerdictHalt).has(agent)) {
        if (Date.now() > deadline) throw new Error(`the verdict on ${agent}'s request neither came through nor halted`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
  }
}

/** The server has noticed that the gate is gone: what was not committed is rolled back. */
async function waitUntilServerIsQuiet(postgres: PostgresServer): Promise<void> {
  const busy = "SELECT 1 FROM pg_stat_activity WHERE usename LIKE 'app\\_%'"
  await waitFor('the server to end what the dead gate began', async () => (await postgres.query(busy)).length === 0)
}

async function waitFor(what: string, isDone: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + waitMaxMs
  while (!(await isDone())) {
    if (Date.now() > deadline) throw new Error(`waited ${waitMaxMs} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** What came of sending the same statement again, with nobody approving anything any more; and once more, where an approval could serve twice. */
export interface Retried {
  readonly first: Ran
  readonly executionsAfterFirst: number
  readonly second: Ran | null
  readonly executionsAfterSecond: number
}

export async function retry({ gate, postgres }: Crashed, passage: Passage): Promise<Retried> {
  const { agent, handle, deed, table } = passage
  const connection = await gate.connect(agent, { handle })
  const first = await connection.run(deed.statement(table))
  const executionsAfterFirst = await countExecutions(postgres, passage)
  const ranByApproval = deed.asks && first.sqlState === '00000'
  const second = ranByApproval ? await connection.run(deed.statement(table)) : null
  const executionsAfterSecond = ranByApproval ? await countExecutions(postgres, passage) : executionsAfterFirst
  await connection.close()
  return { first, second, executionsAfterFirst, executionsAfterSecond }
}
