import pg from 'pg'
import { below } from '../proofs/seeded.ts'
import { rest } from './rest.ts'
import type { ThirdGate, ThreeGates } from './three-gates.ts'

/** How often what came back, by SQLSTATE; `gone` for a connection that was not made or did not last. */
export type Answers = Map<string, number>

export interface Fleet {
  readonly stage: ThreeGates
  readonly chance: () => number
  /** By agent, good at every gate. */
  readonly handles: ReadonlyMap<string, string>
  /** Who comes and goes. */
  readonly visitors: readonly string[]
  /** A table each, for which one use was approved. */
  readonly grants: readonly { readonly agent: string; readonly table: string }[]
  readonly answers: Answers
  /** Sent, by the number that the row has. Each once: an agent that does not know what became of one does not send it again. */
  sent: number
}

const answerMs = 20_000

/** As many sessions as `width` at a time until `isOver`: each a few statements at one gate, and then another agent at another gate. */
export async function keepBusy(fleet: Fleet, width: number, isOver: () => boolean): Promise<void> {
  const agents = fleet.visitors
  const one = async (): Promise<void> => {
    while (!isOver()) {
      const agent = agents[below(fleet.chance, agents.length)] ?? ''
      if (fleet.chance() < 0.1) await raceForGrant(fleet)
      else await visit(fleet, gateAt(fleet, below(fleet.chance, 3)), agent, 1 + below(fleet.chance, 4))
    }
  }
  await Promise.all(Array.from({ length: width }, one))
}

function gateAt({ stage }: Fleet, number: number): ThirdGate {
  const found = stage.gates[number]
  if (found === undefined) throw new RangeError(`there is no gate ${number}`)
  return found
}

async function visit(fleet: Fleet, place: ThirdGate, agent: string, statements: number): Promise<void> {
  await within(fleet, place, agent, async (run) => {
    for (let left = statements; left > 0; left -= 1) {
      if (fleet.chance() < 0.3) await run('SELECT count(*) FROM once_0')
      else await run(`INSERT INTO ran (op, agent, gate) VALUES (${(fleet.sent += 1)}, '${agent}', ${place.number})`)
    }
  })
}

/** The same statement at all three gates at the same moment, for which there is one approval. */
async function raceForGrant(fleet: Fleet): Promise<void> {
  const grant = fleet.grants[below(fleet.chance, fleet.grants.length)]
  if (grant === undefined) return
  const statement = `UPDATE ${grant.table} SET n = n + 1`
  await Promise.all(fleet.stage.gates.map((place) => within(fleet, place, grant.agent, (run) => run(statement))))
}

type Run = (sql: string) => Promise<void>

async function within(fleet: Fleet, { gate }: ThirdGate, agent: string, work: (run: Run) => Promise<void>): Promise<void> {
  const client = new pg.Client({
    host: gate.host,
    port: gate.port,
    user: agent,
    password: fleet.handles.get(agent) ?? '',
    database: 'orders-db',
    connectionTimeoutMillis: answerMs,
    query_timeout: answerMs,
  })
  client.on('error', () => undefined)
  const note = (state: string): void => void fleet.answers.set(state, (fleet.answers.get(state) ?? 0) + 1)
  const noteError = (error: unknown): void => note(error instanceof pg.DatabaseError ? (error.code ?? 'unknown') : 'gone')
  try {
    await client.connect()
  } catch (error) {
    noteError(error)
    // A gate that is not there answers at once, and asking it again at once would be all that this run does.
    await rest(20)
    return
  }
  await work(async (sql) => {
    try {
      await client.query(sql)
      note('00000')
    } catch (error) {
      noteError(error)
    }
  })
  await client.end().catch(() => undefined)
}
