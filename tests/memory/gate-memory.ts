import { readFileSync } from 'node:fs'
import { RawClient } from '../fakes/postgres-client.ts'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { copyDataMessage, copyDoneMessage, queryMessage } from '../../packages/gateway/src/protocols/postgres/wire.ts'

const kib = 1024
/** How often the gate's memory is looked at, milliseconds. */
const lookMs = 50
/** Memory that stays as it is for so long has settled, milliseconds. */
const settledMs = 2_500
/** Sessions that are opened and closed before memory is looked at. */
const warmingSessions = 50
/** One row of a stream, bytes. */
const rowBytes = 8_000

/** Resident memory of a process, bytes (proc(5), VmRSS). */
function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  if (line?.[1] === undefined) throw new Error(`process ${pid} has no VmRSS: this proof needs Linux`)
  return Number(line[1]) * kib
}

/** What a stream did to the gate's memory. */
export interface Streamed {
  readonly bytes: number
  readonly seconds: number
  /** When it began to flow steadily, and the most and least after that. */
  readonly startBytes: number
  readonly mostBytes: number
  readonly leastBytes: number
}

export interface MemoryStage extends AsyncDisposable {
  readonly gate: TestGate
  readonly postgres: PostgresServer
  copyOut(bytes: number): Promise<Streamed>
  select(bytes: number): Promise<Streamed>
  copyIn(bytes: number): Promise<Streamed>
  /** A client that reads so many bytes a second of an endless result (0: none), until the server has long been stopped. */
  readSlowly(bytesPerSecond: number, seconds: number): Promise<Streamed>
  /** A client that sends without end into a server that does not read. */
  sendToBlocked(seconds: number): Promise<Streamed>
  /** Resident bytes that each of so many idle sessions costs the gate. */
  idleSessions(count: number): Promise<{ readonly sessions: number; readonly bytesEach: number }>
}

export async function openMemoryStage(connectionsMax: number): Promise<MemoryStage> {
  const postgres = await startPostgres([`max_connections=${connectionsMax + 20}`, 'shared_buffers=64MB'])
  const gate = await startGate({
    postgres,
    upstreams: { 'orders-db': { environment: 'development' } },
  })
  await arrange(postgres, 'CREATE TABLE sink (line text)')
  const stage = new Stage(postgres, gate, await gate.issue('coder'))
  await stage.settle()
  return stage
}

class Stage implements MemoryStage {
  readonly gate: TestGate
  readonly postgres: PostgresServer
  readonly #handle: string

  constructor(postgres: PostgresServer, gate: TestGate, handle: string) {
    this.postgres = postgres
    this.gate = gate
    this.#handle = handle
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gate.stop()
    await this.postgres.stop()
  }

  /** V8 compiles the parser anew once it is used, which takes 400 MiB for a second or two: what is measured begins when that is over. */
  async settle(): Promise<void> {
    const client = await this.#used()
    client.send(queryMessage(rowsOf(32 * kib * kib)))
    await until(client, 'Z')
    client.close()
    let [sinceMs, before] = [performance.now(), 0]
    while (performance.now() - sinceMs < settledMs) {
      const now = residentBytes(this.gate.process.pid)
      if (Math.abs(now - before) > 2 * kib * kib) [sinceMs, before] = [performance.now(), now]
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  #open(): Promise<RawClient> {
    return RawClient.open(this.gate.port, 'coder', this.#handle, 'orders-db')
  }

  copyOut(bytes: number): Promise<Streamed> {
    return this.#out(`copy (${rowsOf(bytes)}) to stdout`, bytes)
  }

  select(bytes: number): Promise<Streamed> {
    return this.#out(rowsOf(bytes), bytes)
  }

  async #out(sql: string, bytes: number): Promise<Streamed> {
    const client = await this.#open()
    const watch = new Watch(this.gate.process.pid, bytes / 20)
    try {
      await streamed(client, sql, (chunk) => watch.count(chunk.length))
      return watch.result()
    } finally {
      watch.stop()
      client.close()
    }
  }

  async copyIn(bytes: number): Promise<Streamed> {
    const client = await this.#open()
    const watch = new Watch(this.gate.process.pid, bytes / 20)
    try {
      client.send(queryMessage('copy sink from stdin where false'))
      await until(client, 'G')
      await this.#feed(client, (sent) => {
        watch.count(sent)
        return watch.bytes < bytes
      })
      client.send(copyDoneMessage)
      await until(client, 'Z')
      return watch.result()
    } finally {
      watch.stop()
      client.close()
    }
  }

  /** Writes rows for as long as `goOn`, no faster than they are taken. */
  async #feed(client: RawClient, goOn: (sentBytes: number) => boolean): Promise<void> {
    const piece = Buffer.concat(Array.from({ length: 32 }, () => copyDataMessage(Buffer.from(`${'y'.repeat(rowBytes - 1)}\n`))))
    let taken = true
    while (taken ? goOn(piece.length) : goOn(0)) {
      taken = client.socket.write(piece)
      if (taken) continue
      const drained = new Promise((resolve) => client.socket.once('drain', resolve))
      // A server that takes nothing must not keep this from ending.
      while (goOn(0) && client.socket.writableNeedDrain)
        await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, 10))])
      taken = true
    }
  }

  async readSlowly(bytesPerSecond: number, seconds: number): Promise<Streamed> {
    const client = await this.#open()
    client.socket.removeAllListeners('data')
    client.socket.pause()
    client.send(queryMessage(rowsOf(100 * 1024 ** 3)))
    await this.#serverWaits('ClientWrite')
    const watch = new Watch(this.gate.process.pid, 0)
    try {
      const endMs = performance.now() + seconds * 1000
      const startMs = performance.now()
      while (performance.now() < endMs) {
        const due = ((performance.now() - startMs) / 1000) * bytesPerSecond
        const chunk: unknown = watch.bytes < due ? client.socket.read(Math.min(kib, client.socket.readableLength)) : null
        if (Buffer.isBuffer(chunk)) watch.count(chunk.length)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      await this.#serverWaits('ClientWrite')
      return watch.result()
    } finally {
      watch.stop()
      client.close()
    }
  }

  async sendToBlocked(seconds: number): Promise<Streamed> {
    const client = await this.#open()
    await arrange(this.postgres, "CREATE FUNCTION stay() RETURNS bool LANGUAGE sql VOLATILE AS 'SELECT pg_sleep(3600) IS NULL'")
    client.send(queryMessage('copy sink from stdin where stay()'))
    await until(client, 'G')
    const watch = new Watch(this.gate.process.pid, 0)
    try {
      const endMs = performance.now() + seconds * 1000
      await this.#feed(client, (sent) => {
        watch.count(sent)
        return performance.now() < endMs
      })
      return watch.result()
    } finally {
      watch.stop()
      client.close()
    }
  }

  /** Waits until the server has nowhere to write to. */
  async #serverWaits(event: string): Promise<void> {
    const sql = `SELECT 1 FROM pg_stat_activity WHERE usename = 'app_use' AND wait_event = '${event}'`
    while ((await this.postgres.query(sql)).length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
  }

  async idleSessions(count: number): Promise<{ readonly sessions: number; readonly bytesEach: number }> {
    const { pid } = this.gate.process
    // The first sessions load and compile what every later one shares.
    const first = await Promise.all(Array.from({ length: warmingSessions }, () => this.#used()))
    for (const client of first) client.close()
    while ((await this.postgres.query("SELECT 1 FROM pg_stat_activity WHERE usename = 'app_use'")).length > 0)
      await new Promise((resolve) => setTimeout(resolve, 10))
    const clients: RawClient[] = []
    try {
      const before = residentBytes(pid)
      for (let opened = 0; opened < count; opened += 1) clients.push(await this.#used())
      return { sessions: count, bytesEach: Math.round((residentBytes(pid) - before) / count) }
    } finally {
      for (const client of clients) client.close()
    }
  }

  /** A session that has run something and now lies idle. */
  async #used(): Promise<RawClient> {
    const client = await this.#open()
    client.send(queryMessage('select 1'))
    await until(client, 'Z')
    return client
  }
}

const rowsOf = (bytes: number): string =>
  `select repeat('x', ${rowBytes}) from generate_series(1, ${Math.ceil(bytes / rowBytes)})`

async function until(client: RawClient, type: string): Promise<void> {
  for (;;) {
    const message = await client.next()
    if (message.type === type) return
    if (message.type === 'E' || message.type === 'closed') throw new Error(message.bytes.toString('latin1'))
  }
}

/** Runs a Query whose answer is not kept. */
async function streamed(client: RawClient, sql: string, see: (chunk: Buffer) => void): Promise<void> {
  const ready = Buffer.from('Z\0\0\0\x05I', 'latin1')
  client.socket.removeAllListeners('data')
  let tail = Buffer.alloc(0)
  await new Promise<void>((resolve, reject) => {
    client.socket.once('close', () => reject(new Error('the connection ended in the middle of the stream')))
    client.socket.on('data', (chunk: Buffer) => {
      see(chunk)
      tail = Buffer.from(Buffer.concat([tail, chunk.subarray(-ready.length)]).subarray(-ready.length))
      if (tail.equals(ready)) resolve()
    })
    client.send(queryMessage(sql))
  })
}

/** Looks at a process's memory while something flows. */
class Watch {
  bytes = 0
  readonly #pid: number
  readonly #steadyAt: number
  readonly #startMs = performance.now()
  readonly #timer: NodeJS.Timeout
  #start = 0
  #most = 0
  #least = Infinity

  /** @param steadyAt after so many bytes the flow is steady: buffers are there, code is compiled */
  constructor(pid: number, steadyAt: number) {
    this.#pid = pid
    this.#steadyAt = steadyAt
    this.#timer = setInterval(() => this.#look(), lookMs)
  }

  count(bytes: number): void {
    this.bytes += bytes
  }

  #look(): void {
    if (this.bytes < this.#steadyAt) return
    const now = residentBytes(this.#pid)
    if (this.#start === 0) this.#start = now
    this.#most = Math.max(this.#most, now)
    this.#least = Math.min(this.#least, now)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  result(): Streamed {
    this.#look()
    return {
      bytes: this.bytes,
      seconds: Number(((performance.now() - this.#startMs) / 1000).toFixed(1)),
      startBytes: this.#start,
      mostBytes: this.#most,
      leastBytes: this.#least,
    }
  }
}
