import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { finished } from 'node:stream/promises'
import pg from 'pg'
import postgres from 'postgres'
import type { Place } from './pair.ts'

/*
 * Neither `pg` 8.23 nor `postgres` 3.4 ships its tests in its npm package, so this is what their documentation says of them, each result compared
 * with the one that the server gives directly.
 */

type Row = Record<string, unknown>
type Told = Readonly<Record<string, unknown>>

/** An error as its client gives it, with every field that the server sent. */
function tell(error: unknown): Told {
  if (!(error instanceof Error)) return { thrown: String(error) }
  const fields = Object.fromEntries(Object.entries(error).filter(([name]) => name !== 'length'))
  return { name: error.name, message: error.message, ...fields, query: undefined, parameters: undefined, args: undefined }
}

const attempt = (work: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(work).then(
    (value) => value,
    (error: unknown) => tell(error),
  )

/** What each of these gives is compared. */
const pgWork: Readonly<Record<string, (client: pg.Client) => Promise<unknown>>> = {
  text: async (client) => (await client.query<Row>('select id, name, price, note from items order by id')).rows,
  parameters: async (client) =>
    (
      await client.query<Row>('select $1::int + 1 as a, $2::text as b, $3::json as c, $4::bytea as d', [
        1,
        'x',
        { y: 1 },
        Buffer.from([0, 255]),
      ])
    ).rows,
  'arrays and dates': async (client) =>
    (await client.query<Row>("select $1::int[] as a, '2024-02-29'::date as d, $2::timestamptz as t", [[1, null, 3], new Date(0)]))
      .rows,
  'rows as arrays': async (client) => (await client.query<unknown[]>({ text: 'select 1, 1, 2', rowMode: 'array' })).rows,
  fields: async (client) => (await client.query<Row>('select id, name from items')).fields,
  'several statements': async (client) => {
    const results: unknown = await client.query('select 1 as a; select 2 as b; insert into changed values (1000)')
    return JSON.stringify(results)
  },
  'row counts': async (client) => {
    const { command, rowCount } = await client.query<Row>("update changed set value = 'pg' where id = 1000")
    return { command, rowCount }
  },
  'a named statement': async (client) => {
    const rows: unknown[] = []
    for (const value of [1, 2, 3])
      rows.push((await client.query<Row>({ name: 'times', text: 'select $1::int * 2 as n', values: [value] })).rows)
    return rows
  },
  'a named write that fails and goes on': async (client) => {
    const insert = { name: 'ins', text: 'insert into changed values ($1) returning id' }
    const outcomes: unknown[] = []
    for (const id of [1001, 1001, 1002])
      outcomes.push(await attempt(client.query<Row>({ ...insert, values: [id] }).then(({ rows }) => rows)))
    return outcomes
  },
  'errors with all their fields': async (client) => {
    const texts = [
      'selec',
      'select nothing',
      'select * from nowhere',
      "select 'x'::int",
      'insert into counted (value) values (500)',
      "select fail_with('22023')",
      'insert into child values (1000, 5000)',
    ]
    const errors: unknown[] = []
    for (const sql of texts) errors.push(await attempt(client.query<Row>(sql)), await attempt(client.query<Row>(sql, [])))
    return errors.map((error) => JSON.stringify(error).replaceAll(/Failing row contains \(\d+/g, 'Failing row contains (n'))
  },
  'queries queued without waiting': async (client) =>
    Promise.all(
      ['select 1 as a', 'select 1/0', 'select $1::int as b', 'insert into changed values (1003) returning id'].map((sql, index) =>
        attempt(client.query<Row>(sql, index === 2 ? [7] : undefined).then(({ rows }) => rows)),
      ),
    ),
  'a transaction that fails': async (client) => {
    await client.query<Row>('begin')
    const failed = await attempt(client.query<Row>('select 1/0'))
    const after = await attempt(client.query<Row>('select 1'))
    await client.query<Row>('rollback')
    return [failed, after, (await client.query<Row>('select 1 as fine')).rows]
  },
  notices: async (client) => {
    const notices: unknown[] = []
    const listen = (notice: unknown): void => void notices.push(tell(notice))
    client.on('notice', listen)
    await client.query<Row>("select tell('to node-postgres')")
    client.off('notice', listen)
    return notices
  },
  notifications: async (client) => {
    await client.query<Row>('listen told')
    const heard = once(client, 'notification')
    await client.query<Row>("notify told, 'something'")
    const first: unknown = (await heard).at(0)
    return JSON.stringify(first).replace(/"processId":\d+/, '"processId":0')
  },
  'ten thousand rows': async (client) =>
    (await client.query<Row>('select g, g::text as t from generate_series(1, 10000) g')).rows.length,
  'a big value there and back': async (client) =>
    (await client.query<Row>('select length($1) as n, $1::text as t', ['é'.repeat(200_000)])).rows,
}

export async function useNodePostgres({ port, user, password, database }: Place): Promise<Told> {
  const client = new pg.Client({ host: '127.0.0.1', port, user, password, database })
  await client.connect()
  const told: Record<string, unknown> = {}
  try {
    for (const [name, work] of Object.entries(pgWork)) told[name] = await attempt(work(client))
  } finally {
    await client.end()
  }
  const pool = new pg.Pool({ host: '127.0.0.1', port, user, password, database, max: 3 })
  told['a pool'] = await Promise.all(
    Array.from({ length: 12 }, async (_, index) => (await pool.query<{ n: number }>('select $1::int as n', [index])).rows),
  )
  await pool.end()
  return told
}

const postgresWork: Readonly<Record<string, (sql: postgres.Sql) => Promise<unknown>>> = {
  'tagged templates': async (sql) => [...(await sql`select id, name, price from items where id = any(${[1, 2]}) order by id`)],
  helpers: async (sql) => [
    ...(await sql`insert into changed ${sql([
      { id: 1100, value: 'a' },
      { id: 1101, value: 'b' },
    ])} returning *`),
  ],
  'dynamic columns': async (sql) => [
    ...(await sql`select ${sql(['id', 'name'])} from items where id in ${sql([3, 4])} order by id`),
  ],
  update: async (sql) => (await sql`update changed set ${sql({ value: 'c' })} where id = 1100`).count,
  types: async (sql) => [
    ...(await sql`select 1::int8 as a, true as b, '{1,2}'::int[] as c, '2024-02-29 12:00Z'::timestamptz as d, '{"x":1}'::jsonb as e, '\\x00ff'::bytea as f, null as g`),
  ],
  json: async (sql) => [...(await sql`select ${sql.json({ deep: [1, null] })} as j`)],
  'unsafe, several': async (sql) => JSON.stringify(await sql.unsafe('select 1 as a; select 2 as b')),
  'simple()': async (sql) => JSON.stringify(await sql`select 1 as a; select 2 as b`.simple()),
  'values() and raw()': async (sql) => [[...(await sql`select 1, 'x'`.values())], JSON.stringify(await sql`select 1, 'x'`.raw())],
  'describe()': async (sql) =>
    JSON.stringify({ ...(await sql`select id, name from items where id = ${1}`.describe()), name: 'made up' }),
  'cursor in steps': async (sql) => {
    const steps: number[] = []
    await sql`select g from generate_series(1, 10) g`.cursor(4, (rows) => void steps.push(rows.length))
    return steps
  },
  'cursor, ended early': async (sql) => {
    const seen: unknown[] = []
    for await (const rows of sql`select g from generate_series(1, 100) g`.cursor(2)) {
      seen.push(...rows)
      if (seen.length >= 4) break
    }
    return [seen, [...(await sql`select 1 as fine`)]]
  },
  'forEach()': async (sql) => {
    const seen: unknown[] = []
    await sql`select g from generate_series(1, 5) g`.forEach((row) => void seen.push(row))
    return seen
  },
  'begin and savepoint': async (sql) =>
    sql.begin(async (inner) => {
      await inner`insert into changed values (1102)`
      const failed = await attempt(inner.savepoint(async (deeper) => void (await deeper`insert into changed values (1102)`)))
      return [failed, [...(await inner`select id from changed where id = 1102`)]]
    }),
  'begin, thrown out of': async (sql) => {
    const failed = await attempt(
      sql.begin(async (inner) => {
        await inner`insert into changed values (1103)`
        throw new Error('changed my mind')
      }),
    )
    return [failed, [...(await sql`select count(*)::int as n from changed where id = 1103`)]]
  },
  'begin, pipelined': async (sql) =>
    sql.begin((inner) => [inner`select 1 as a`, inner`insert into changed values (1104) returning id`, inner`select 3 as c`]),
  'everything at once': async (sql) =>
    Promise.all(Array.from({ length: 60 }, (_, index) => sql`select ${index}::int as n`.then(([row]) => row))),
  'errors with all their fields': async (sql) =>
    JSON.stringify([
      await attempt(sql`select nothing`),
      await attempt(sql`select * from nowhere where id = ${1}`),
      await attempt(sql`selec`),
      await attempt(sql`select 1 / ${0}::int`),
    ]),
  'copy out': async (sql) => text(await sql`copy items to stdout`.readable()),
  'copy in': async (sql) => {
    const into = await sql`copy copied (a, b) from stdin`.writable()
    into.end('1\tone\n2\ttwo\n')
    await finished(into)
    const rows = [...(await sql`select a, b from copied order by a`)]
    await sql`truncate copied`
    return rows
  },
  'listen and notify': async (sql) => {
    const heard = new Promise(
      (resolve) => void sql.listen('heard_by_js', resolve, () => void sql.notify('heard_by_js', 'a payload')),
    )
    return heard
  },
  'cancel()': async (sql) => {
    // Looked at from a connection that nothing else is queued on.
    const looking = await sql.reserve()
    const query = sql`select pg_sleep(60)`
    const outcome = attempt(query)
    const active =
      "select 1 from pg_stat_activity where query like 'select pg_sleep(60)%' and state = 'active' and datname = current_database()"
    while ((await looking.unsafe(active)).length === 0) await looking`select 1`
    query.cancel()
    const told = await outcome
    looking.release()
    return told
  },
  'reserve()': async (sql) => {
    const reserved = await sql.reserve()
    await reserved`create temp table kept (a int)`
    await reserved`insert into kept values (1)`
    const rows = [...(await reserved`select * from kept`)]
    await reserved`drop table kept`
    reserved.release()
    return rows
  },
}

export async function usePostgresJs({ port, user, password, database }: Place, prepare: boolean): Promise<Told> {
  const notices: unknown[] = []
  const sql = postgres({
    host: '127.0.0.1',
    port,
    user,
    password,
    database,
    max: 2,
    prepare,
    onnotice: (notice) => void notices.push(notice),
  })
  const told: Record<string, unknown> = {}
  try {
    for (const [name, work] of Object.entries(postgresWork)) told[name] = await attempt(work(sql))
    await sql`select tell('to postgres.js')`
    return { ...told, notices }
  } finally {
    await sql`delete from changed where id between 1100 and 1199`
    await sql.end({ timeout: 5 })
  }
}
