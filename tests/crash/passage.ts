import type { Event, Json } from '@sallyport/core'
import type { PostgresServer } from '../servers/postgres.ts'

/** What an agent of this proof does, on a table of its own, and how often the server did it. */
export interface Deed {
  readonly name: 'drop' | 'update' | 'delete' | 'insert'
  /** A person has to approve it. */
  readonly asks: boolean
  /** A copy must be sealed before its intent. */
  readonly copies: boolean
  arrange(table: string): string
  statement(table: string): string
  /** SQL for one number: how often it was executed on this table. */
  executions(table: string): string
}

/** More rows ask a person: below the 12 of a table, above the 3 that a DELETE takes before the crash and the 3 after (what did not run stays spent). */
export const rowsWithoutPrompt = 7

export const deeds: readonly Deed[] = [
  {
    name: 'drop',
    asks: true,
    copies: true,
    arrange: (table) =>
      `CREATE TABLE ${table} (id int PRIMARY KEY, note text); INSERT INTO ${table} SELECT i, 'kept ' || i FROM generate_series(1, 12) i`,
    statement: (table) => `DROP TABLE ${table}`,
    executions: (table) => `SELECT (to_regclass('${table}') IS NULL)::int`,
  },
  {
    // Each run shows in the rows, so a grant used twice would be seen on the server.
    name: 'update',
    asks: true,
    copies: true,
    arrange: (table) =>
      `CREATE TABLE ${table} (id int PRIMARY KEY, n int); INSERT INTO ${table} SELECT i, 0 FROM generate_series(1, 12) i`,
    statement: (table) => `UPDATE ${table} SET n = n + 1`,
    executions: (table) => `SELECT CASE WHEN min(n) = max(n) THEN min(n) END FROM ${table}`,
  },
  {
    name: 'delete',
    asks: false,
    copies: true,
    arrange: (table) =>
      `CREATE TABLE ${table} (id int PRIMARY KEY, note text); INSERT INTO ${table} SELECT i, 'x' FROM generate_series(1, 9) i`,
    statement: (table) => `DELETE FROM ${table} WHERE id <= 3`,
    executions: (table) => `SELECT CASE count(*) WHEN 9 THEN 0 WHEN 6 THEN 1 END FROM ${table}`,
  },
  {
    name: 'insert',
    asks: false,
    copies: false,
    arrange: (table) => `CREATE TABLE ${table} (id int GENERATED ALWAYS AS IDENTITY, note text)`,
    statement: (table) => `INSERT INTO ${table} (note) VALUES ('once')`,
    executions: (table) => `SELECT count(*) FROM ${table}`,
  },
]

/** One agent, one statement, one halt. */
export interface Passage {
  readonly agent: string
  readonly table: string
  readonly deed: Deed
  /** As tests/fakes/halting-gate.ts names it. Null: it runs through, to learn the steps. */
  readonly halt: string | null
  readonly handle: string
}

export function passageOf(deed: Deed, number: number, halt: string | null, handle: string): Passage {
  return { agent: agentOf(deed, number), table: `${deed.name}_${number}`, deed, halt, handle }
}

export function agentOf(deed: Deed, number: number): string {
  return `${deed.name}-${number}`
}

export async function countExecutions(postgres: PostgresServer, { deed, table }: Passage): Promise<number> {
  const [row] = await postgres.query(`SELECT (${deed.executions(table)})::int AS executions`)
  const executions = row?.['executions']
  if (typeof executions !== 'number') throw new Error(`${table} is neither as before nor as after: it was executed in part`)
  return executions
}

/** What the log says of one agent. */
export interface Told {
  readonly intents: readonly string[]
  readonly outcomes: ReadonlyMap<string, readonly string[]>
  readonly approvals: number
  readonly requests: readonly string[]
  readonly types: readonly string[]
}

export function toldOf(events: readonly Event[], agent: string): Told {
  const own = events.filter((event) => event.agent === agent)
  const texts = (type: Event['type'], key: string): readonly string[] =>
    own.filter((event) => event.type === type).map(({ data }) => textOf(data[key]))
  const outcomes = new Map<string, string[]>()
  for (const { type, data } of own) {
    if (type === 'outcome')
      outcomes.set(textOf(data['intent']), [...(outcomes.get(textOf(data['intent'])) ?? []), textOf(data['result'])])
  }
  return {
    intents: texts('intent', 'intent'),
    outcomes,
    approvals: own.filter(({ type }) => type === 'verdict').length,
    requests: texts('request.opened', 'request'),
    types: own.map(({ type }) => type),
  }
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null)
}
