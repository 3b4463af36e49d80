import type { SqlAccess, SqlChannel, SqlRow, Upstream } from '@sallyport/core'
import { once } from 'node:events'
import pg from 'pg'

/** Rows of text values over a node-postgres client, and COPY in both directions. */
export class PgChannel implements SqlChannel {
  readonly client: pg.Client
  /** Every statement the gate sent, in order: tests look at it. */
  readonly sent: string[] = []
  constructor(client: pg.Client) {
    this.client = client
  }

  async query(sql: string, values: readonly (string | null)[] = []): Promise<readonly SqlRow[]> {
    this.sent.push(sql)
    const result: unknown = await this.client.query({
      text: sql,
      values: [...values],
      rowMode: 'array',
      types: { getTypeParser: () => (text: string) => text },
    })
    return readRows(Array.isArray(result) ? result.at(-1) : result)
  }

  async *copyOut(sql: string): AsyncIterable<Uint8Array> {
    this.sent.push(sql)
    const copy = new CopyOut(sql)
    this.client.query(copy)
    try {
      for (;;) {
        const chunks = await copy.take()
        if (chunks === null) return
        yield* chunks
      }
    } finally {
      await copy.drain()
    }
  }

  async copyIn(sql: string, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    this.sent.push(sql)
    const copy = new CopyIn(sql, chunks)
    this.client.query(copy)
    return copy.done
  }
}

function readRows(result: unknown): readonly SqlRow[] {
  if (typeof result !== 'object' || result === null || !('rows' in result) || !Array.isArray(result.rows)) return []
  const found: readonly unknown[] = result.rows
  return found.map((row) => (Array.isArray(row) ? row.map((value: unknown) => (typeof value === 'string' ? value : null)) : []))
}

type Wire = pg.Connection

function noop(): void {}

/** One frontend message: a type byte, its length with the four bytes of the length, the body. */
function frame(type: string, body: Uint8Array): Buffer {
  const head = Buffer.alloc(5)
  head.write(type, 0, 'latin1')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

class CopyOut {
  readonly #sql: string
  #chunks: Uint8Array[] = []
  #page = Buffer.alloc(0)
  #used = 0
  #ended = false
  #error: Error | null = null
  #wake: () => void = noop
  #wire: Wire | null = null
  callback = noop
  constructor(sql: string) {
    this.#sql = sql
  }
  submit(connection: Wire): void {
    this.#wire = connection
    connection.query(this.#sql)
  }
  async take(): Promise<Uint8Array[] | null> {
    while (this.#chunks.length === 0) {
      if (this.#error) throw this.#error
      if (this.#ended) return null
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    const chunks = this.#chunks
    this.#chunks = []
    this.#wire?.stream.resume()
    return chunks
  }
  /** Reads to the end, so that the connection can be used again. */
  async drain(): Promise<void> {
    while (!this.#ended && !this.#error) {
      this.#chunks = []
      this.#wire?.stream.resume()
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
  /** The server sends a message for each row: rows are gathered, since a chunk a row costs more than the row. */
  handleCopyData({ chunk }: { chunk: Uint8Array }): void {
    if (this.#used + chunk.length > this.#page.length) this.#turnPage(chunk.length)
    this.#page.set(chunk, this.#used)
    this.#used += chunk.length
  }
  #turnPage(atLeast: number): void {
    if (this.#used > 0) this.#chunks.push(this.#page.subarray(0, this.#used))
    this.#page = Buffer.allocUnsafe(Math.max(65_536, atLeast))
    this.#used = 0
    if (this.#chunks.length > 64) this.#wire?.stream.pause()
    this.#wake()
  }
  handleError(error: Error): void {
    this.#error = error
    this.#wake()
  }
  handleReadyForQuery(): void {
    this.#turnPage(0)
    this.#ended = true
    this.#wake()
  }
  handleCommandComplete = noop
  handleRowDescription = noop
  handleDataRow = noop
  handleEmptyQuery = noop
}

class CopyIn {
  readonly #sql: string
  readonly #chunks: AsyncIterable<Uint8Array>
  readonly done: Promise<number>
  #resolve: (rows: number) => void = noop
  #reject: (error: Error) => void = noop
  #rows = 0
  #error: Error | null = null
  callback = noop
  constructor(sql: string, chunks: AsyncIterable<Uint8Array>) {
    this.#sql = sql
    this.#chunks = chunks
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }
  submit(connection: Wire): void {
    connection.query(this.#sql)
  }
  handleCopyInResponse(connection: Wire): void {
    void this.#send(connection)
  }
  async #send(connection: Wire): Promise<void> {
    try {
      for await (const chunk of this.#chunks) {
        if (this.#error) return
        connection.stream.write(frame('d', chunk))
        if (connection.stream.writableNeedDrain) await once(connection.stream, 'drain')
      }
      connection.stream.write(frame('c', new Uint8Array(0)))
    } catch {
      connection.stream.write(frame('f', Buffer.from('the source of the rows failed\0')))
    }
  }
  handleCommandComplete({ text }: { text: string }): void {
    this.#rows = Number(text.split(' ').at(-1))
  }
  handleError(error: Error): void {
    this.#error = error
    this.#reject(error)
  }
  handleReadyForQuery(): void {
    this.#resolve(this.#rows)
  }
  handleRowDescription = noop
  handleDataRow = noop
  handleEmptyQuery = noop
}

/** An upstream over real connections: what the gate has, without the gate. */
export interface RealAccess extends AsyncDisposable {
  readonly upstream: Upstream
  readonly session: PgChannel
  readonly protect: PgChannel
  /** Runs the agent's statement in the held transaction and commits what the gate owns. */
  run(sql: string, values?: readonly (string | null)[]): Promise<readonly SqlRow[]>
  /** What the gate does when a request is refused after a hold. */
  release(): Promise<void>
}

export async function openAccess(sessionUrl: string, protectUrl: string, name = 'orders-db'): Promise<RealAccess> {
  const [session, protect] = await Promise.all([connect(sessionUrl), connect(protectUrl)])
  let owned: 'none' | 'transaction' | 'savepoint' = 'none'
  const access: SqlAccess = {
    kind: 'sql',
    session,
    protect,
    hold: async (sql) => {
      if (owned === 'none') {
        owned = (await inTransaction(session)) ? 'savepoint' : 'transaction'
        await session.client.query(owned === 'savepoint' ? 'SAVEPOINT sallyport_hold' : 'BEGIN')
      }
      session.sent.push(sql)
      await session.client.query(sql)
    },
  }
  const finish = async (transaction: string, savepoint: string): Promise<void> => {
    const was = owned
    owned = 'none'
    if (was === 'transaction') await session.client.query(transaction)
    if (was === 'savepoint') await session.client.query(savepoint)
  }
  return {
    upstream: { name, identity: 'test', environment: 'production', access },
    session,
    protect,
    run: async (sql, values) => {
      const rows = await session.query(sql, values)
      await finish('COMMIT', 'RELEASE SAVEPOINT sallyport_hold')
      return rows
    },
    release: () => finish('ROLLBACK', 'ROLLBACK TO SAVEPOINT sallyport_hold; RELEASE SAVEPOINT sallyport_hold'),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([session.client.end(), protect.client.end()])
    },
  }
}

async function connect(url: string): Promise<PgChannel> {
  const client = new pg.Client({ connectionString: url })
  // A server that is stopped under an idle test client must not end the test process.
  client.on('error', noop)
  await client.connect()
  return new PgChannel(client)
}

/** Two statements in one transaction share its start time; outside of one, each has its own. */
async function inTransaction(channel: PgChannel): Promise<boolean> {
  const read = async (): Promise<string> => {
    const rows = readRows(await channel.client.query({ text: 'SELECT pg_catalog.now()::text', rowMode: 'array' }))
    return String(rows[0]?.[0])
  }
  return (await read()) === (await read())
}
