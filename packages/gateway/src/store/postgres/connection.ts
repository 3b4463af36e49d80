import pg from 'pg'
import { SallyportError } from '@sallyport/core'

/** One row, by the names of its columns. */
export type Row = Readonly<Record<string, unknown>>

export interface Answer {
  readonly rows: readonly Row[]
  /** Rows that a statement changed. */
  readonly count: number
}

/** Runs one statement. */
export type Run = (sql: string, values?: readonly unknown[]) => Promise<Answer>

/** The database that all gates share. Whatever fails comes as `store_unavailable`. */
export interface Connection {
  readonly run: Run
  /** Runs `work` in one transaction; when it throws, nothing of it stays. */
  readonly transact: <Result>(work: (run: Run) => Promise<Result>) => Promise<Result>
  /** A connection of its own, for what listens. It is the caller's to end. */
  openLine(answerMs: number): Promise<pg.Client>
  close(): Promise<void>
}

/** Held by one gate at most: a database has room for some hundred, and many gates share it. */
const connectionsMax = 12
const connectTimeoutMs = 3_000
/** No statement of ours takes longer than milliseconds; one that waits so long for a lock, or for the disk, is given up. */
const statementTimeoutMs = 4_000
/** Later than the server gives up, so that mostly the server says what became of it. */
const answerTimeoutMs = 5_000
/** A gate that is cut off in the middle of a transaction keeps its locks no longer than this. */
const idleInTransactionMs = 3_000

/** Where our tables are, and what no setting of the server may weaken. */
const sessionOptions = [
  'search_path=sallyport,pg_catalog',
  'synchronous_commit=on',
  'default_transaction_isolation=read\\ committed',
  'default_transaction_read_only=off',
  `statement_timeout=${statementTimeoutMs}`,
  `idle_in_transaction_session_timeout=${idleInTransactionMs}`,
]
  .map((option) => `-c ${option}`)
  .join(' ')

/** Numbers of ours are milliseconds and counts: all of them fit. */
const types = new pg.TypeOverrides()
types.setTypeParser(pg.types.builtins.INT8, Number)

export function openConnection(url: string, name: string): Connection {
  const settings: pg.ClientConfig = {
    connectionString: url,
    application_name: `sallyport ${name}`.slice(0, 63),
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: answerTimeoutMs,
    options: sessionOptions,
    keepAlive: true,
    types,
  }
  const pool = new pg.Pool({ ...settings, max: connectionsMax, allowExitOnIdle: true })
  // An idle connection that ends is replaced by the next one that is asked for.
  pool.on('error', () => undefined)
  // One that ends while it is used tells whoever waits for its answer; nobody listens for the rest, and an error unheard would end the gate.
  pool.on('connect', (client) => void client.on('error', () => undefined))
  const transact: Connection['transact'] = async (work) => inTransaction(pool, work)
  return {
    run: async (sql, values = []) => withClient(pool, (client) => answer(client, sql, values)),
    transact,
    openLine: async (answerMs) => {
      const client = new pg.Client({ ...settings, query_timeout: answerMs })
      client.on('error', () => undefined)
      await client.connect()
      return client
    },
    close: () => pool.end(),
  }
}

async function answer(client: pg.ClientBase, sql: string, values: readonly unknown[]): Promise<Answer> {
  const result = await client.query<Record<string, unknown>>(sql, [...values])
  return { rows: result.rows, count: result.rowCount ?? 0 }
}

async function withClient<Result>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<Result>): Promise<Result> {
  let client: pg.PoolClient
  try {
    client = await pool.connect()
  } catch (error) {
    throw unavailable(error)
  }
  let broken = true
  try {
    const result = await work(client)
    broken = false
    return result
  } catch (error) {
    // What the server itself refused leaves a connection whole; after anything else nobody knows what is still on its way.
    broken = !(error instanceof SallyportError) && !(error instanceof pg.DatabaseError)
    throw error instanceof SallyportError ? error : unavailable(error)
  } finally {
    client.release(broken)
  }
}

function inTransaction<Result>(pool: pg.Pool, work: (run: Run) => Promise<Result>): Promise<Result> {
  return withClient(pool, async (client) => {
    await client.query('BEGIN')
    try {
      const result = await work((sql, values = []) => answer(client, sql, values))
      await client.query('COMMIT')
      return result
    } catch (error) {
      // A connection that cannot even do this is thrown away, and its transaction with it.
      if (error instanceof pg.DatabaseError || error instanceof SallyportError) await client.query('ROLLBACK')
      throw error
    }
  })
}

/** Says what kind of failure it was, and nothing of what was sent or where to: an address may carry a password. */
function unavailable(cause: unknown): SallyportError {
  return new SallyportError(
    'store_unavailable',
    `The store that the gates share failed: ${explain(cause)}.`,
    'Nothing was run or changed.',
    'See that its PostgreSQL runs and that this gate reaches it; the gate goes on by itself then. Then ask again.',
    { cause },
  )
}

function explain(cause: unknown): string {
  if (cause instanceof pg.DatabaseError) return `the database refused (${cause.code ?? 'no code'})`
  const code: unknown = cause instanceof Error && 'code' in cause ? cause.code : null
  if (typeof code === 'string' && /^[A-Z_]{2,32}$/.test(code)) return `no connection (${code})`
  return 'it does not answer'
}
