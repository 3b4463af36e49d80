/**
 * The kill switch's own thread: it listens, watches the file `kill`, writes kills down and waits until the gate's thread has confirmed them. The
 * gate's thread may be overloaded or stuck meanwhile: when it does not confirm within its lease, this thread ends the whole process.
 */
import { hash, randomUUID, timingSafeEqual } from 'node:crypto'
import { chmodSync, lstatSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { workerData } from 'node:worker_threads'
import { readAsked, readSwitchData, readToSwitch, words } from './heard.ts'
import { KillRecord } from './kill-record.ts'
import { runAhead } from './thread-priority.ts'
import type { KillOrder, ToGate } from './order.ts'

/** How often this thread says that it lives, and looks for the file. */
const tickMs = 25
const bodyBytesMax = 8 * 1024
const requestTimeoutMs = 2_000
const connectionsMax = 64
/** How long the store's answer is waited for after the stop: it gives the kill its number, and changes nothing about it. */
const writtenWaitMs = 1_000
/** So that whoever asked reads why the connection ends. */
const lastWordsMs = 50

/** How a pull ended: `confirmed` by the gate's thread, or its lease ran out. */
interface Pulled {
  readonly confirmed: boolean
  readonly durable: boolean
  readonly sessions: number
  readonly haltMs: number
}

class Waiting<Value> {
  readonly #waiting = new Map<number, (value: Value) => void>()

  /** Null when it takes longer. */
  wait(number: number, timeoutMs: number): Promise<Value | null> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#settle(number, null, resolve), timeoutMs)
      this.#waiting.set(number, (value) => {
        clearTimeout(timer)
        this.#settle(number, value, resolve)
      })
    })
  }

  #settle(number: number, value: Value | null, resolve: (value: Value | null) => void): void {
    this.#waiting.delete(number)
    resolve(value)
  }

  answer(number: number, value: Value): void {
    this.#waiting.get(number)?.(value)
  }
}

const data = readSwitchData(workerData)
const memory = new Int32Array(data.memory)
const record = new KillRecord(data.recordPath)
const stops = new Waiting<number>()
const writes = new Waiting<{ readonly id: number | null }>()
let last = 0

function tell(message: ToGate): void {
  data.port.postMessage(message)
}

/** Stops first, writes down after: a disk that hangs keeps nothing running. */
async function pull(order: KillOrder): Promise<{ readonly pulled: Pulled; readonly id: Promise<number | null> }> {
  const startedMs = performance.now()
  last += 1
  const number = last
  const stopped = stops.wait(number, data.leaseMs)
  const written = writes.wait(number, data.leaseMs + writtenWaitMs)
  tell({ says: 'pull', number, order })
  data.gates?.postMessage(order)
  // From now on the gate's thread sees it at its next look, whatever it is at.
  Atomics.store(memory, words.pulled, number)
  let durable = true
  try {
    record.write(number, order)
  } catch {
    durable = false
  }
  const sessions = await stopped
  const pulled = { confirmed: sessions !== null, durable, sessions: sessions ?? 0, haltMs: performance.now() - startedMs }
  return { pulled, id: written.then((known) => known?.id ?? null) }
}

/** The gate's thread did not confirm: nobody knows what it is about to write, so it writes nothing more. */
function endProcess(): void {
  process.kill(process.pid, 'SIGKILL')
}

data.port.on('message', (message: unknown) => {
  const said = readToSwitch(message)
  switch (said.says) {
    case 'stopped':
      return stops.answer(said.number, said.sessions)
    case 'written':
      if (said.id !== null) record.settle(said.number)
      return writes.answer(said.number, { id: said.id })
    case 'signal':
      return void pullAll('signal SIGUSR2')
  }
})

function made(): Pick<KillOrder, 'atMs' | 'mark'> {
  return { atMs: Date.now(), mark: randomUUID() }
}

async function pullAll(by: string): Promise<void> {
  const { pulled } = await pull({ ...made(), kind: 'all', name: '', reason: `by ${by}`, by, drain: false })
  if (!pulled.confirmed) endProcess()
}

let isFilePulled = false

/** The file goes when its kill is acknowledged, so that whoever made it sees that. */
async function lookForFile(): Promise<void> {
  if (isFilePulled || lstatSync(data.filePath, { throwIfNoEntry: false }) === undefined) return
  isFilePulled = true
  try {
    await pullAll('the file kill')
    rmSync(data.filePath, { force: true })
    isFilePulled = false
  } catch {
    // A file that cannot be removed is not pulled again and again; the kill holds.
  }
}

setInterval(() => {
  Atomics.add(memory, words.beat, 1)
  void lookForFile()
}, tickMs)

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (!isAuthorised(request)) return refuse(response, 401, 'not_authorised')
  if (request.method !== 'POST' || request.url !== '/v1/kill') return refuse(response, 404, 'not_found')
  const asked = readAsked(parseJson(await readBody(request)))
  if (asked === null) return refuse(response, 400, 'unreadable')
  const order: KillOrder = { ...asked, ...made(), by: 'operator' }
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  // Whoever asked learns whose end to wait for, should the gate's thread not confirm.
  response.write(`${JSON.stringify({ state: 'pulled', pid: process.pid, leaseMs: data.leaseMs, everywhere: !data.isShared })}\n`)
  const { pulled, id } = await pull(order)
  if (!pulled.confirmed) {
    response.end(
      `${JSON.stringify({ state: 'ending', pid: process.pid, durable: pulled.durable, everywhere: !data.isShared })}\n`,
    )
    setTimeout(endProcess, lastWordsMs)
    return
  }
  const { durable, sessions, haltMs } = pulled
  const known = await id
  const isWritten = known !== null
  // Without an answer of the store nobody knows whether other gates have heard of it.
  const reach = { durable: durable || isWritten, everywhere: isWritten || !data.isShared }
  response.end(`${JSON.stringify({ state: 'acknowledged', id: known, atMs: order.atMs, ...reach, sessions, haltMs })}\n`)
}

function isAuthorised({ headers }: IncomingMessage): boolean {
  const [, token = ''] = /^Bearer (\S{1,256})$/.exec(headers.authorization ?? '') ?? []
  return timingSafeEqual(Buffer.from(hash('sha256', token)), Buffer.from(data.tokenSha256))
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
  response.end(`${JSON.stringify({ error: { code, notDone: 'Nothing was stopped.' } })}\n`)
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const piece of request) {
    if (!Buffer.isBuffer(piece)) return ''
    bytes += piece.length
    if (bytes > bodyBytesMax) return ''
    chunks.push(piece)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

runAhead()
// What the other gates send has to be heard no later than what this one is told.
data.gates?.on('message', (thread: unknown) => {
  if (typeof thread === 'string') runAhead(thread)
})
const server = createServer({ requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs }, (request, response) => {
  answer(request, response).catch(() => response.destroy())
})
server.maxConnections = connectionsMax
rmSync(data.socketPath, { force: true })
server.listen(data.socketPath, () => {
  chmodSync(data.socketPath, 0o600)
  // A file that lay there before is heard before any agent is.
  void lookForFile()
  tell({ says: 'listening' })
})
