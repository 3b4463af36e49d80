import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { z } from 'zod'
import { startPlainScram } from '../../packages/gateway/src/upstreams/postgres/scram-client.ts'
import { frame, int32, startupMessage, zeroTerminated } from '../../packages/gateway/src/protocols/postgres/wire.ts'
import { RawClient } from '../fakes/postgres-client.ts'

/** Clients that do not behave, as a process of their own: each waits to be thrown out, and comes again. Answers `stop` with how long each lasted. */
export const hostileAskShape = z.discriminatedUnion('ask', [
  z.object({
    ask: z.literal('start'),
    port: z.number(),
    agent: z.string(),
    handle: z.string(),
    database: z.string(),
    clientsOfEach: z.number(),
  }),
  z.object({ ask: z.literal('stop') }),
])
/** `droppedMs`: how long each connection lasted, by kind; `stillOpen`: those that were never thrown out, with the time they had. */
export const hostileSaysShape = z.object({
  kinds: z.record(z.string(), z.object({ dropped: z.number(), slowestMs: z.number(), openLongestMs: z.number() })),
})
export type HostileSays = z.infer<typeof hostileSaysShape>

interface Place {
  readonly port: number
  readonly agent: string
  readonly handle: string
  readonly database: string
}

/** What a hostile client does; resolves once it has said all it will say. What counts is how long it is then suffered. */
type Misdeed = (place: Place) => Promise<Socket>

const twoGigabytes = 0x7fff_ffff
/** One visit of one client begins at most so often: this is about what the gate suffers, not about how many connections a kernel can open. */
const visitMs = 1_000
const lookMs = 50
const dripMs = 100

function start({ agent, database }: Place): Buffer {
  return startupMessage(
    new Map([
      ['user', agent],
      ['database', database],
    ]),
  )
}

/** Says something as a stranger. */
function stranger(say: (socket: Socket, place: Place) => void): Misdeed {
  return async (place) => {
    const socket = connect({ host: '127.0.0.1', port: place.port, noDelay: true })
    socket.on('error', () => undefined)
    socket.resume()
    say(socket, place)
    return socket
  }
}

/** Comes in with a good handle first. */
function insider(say: (socket: Socket) => void): Misdeed {
  return async ({ port, agent, handle, database }) => {
    const { socket } = await RawClient.open(port, agent, handle, database)
    say(socket)
    return socket
  }
}

function drip(socket: Socket, bytes: Buffer): void {
  let at = 0
  const timer = setInterval(() => {
    socket.write(bytes.subarray(at % bytes.length, (at % bytes.length) + 1))
    at += 1
  }, dripMs)
  socket.once('close', () => clearInterval(timer))
}

export const misdeeds: Readonly<Record<string, Misdeed>> = {
  'says nothing': stranger(() => undefined),
  'speaks garbage': stranger((socket) => socket.write(randomBytes(4096))),
  'speaks HTTP': stranger((socket) => socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')),
  'half a start-up packet': stranger((socket, place) => socket.write(start(place).subarray(0, 20))),
  'a start-up packet of 2 GB': stranger((socket) =>
    socket.write(Buffer.concat([int32(twoGigabytes), int32(196_608), randomBytes(64)])),
  ),
  'a start-up packet that never ends': stranger((socket) =>
    drip(socket, Buffer.concat([int32(9_000), int32(196_608), Buffer.from('user\0')])),
  ),
  'stops in the middle of SCRAM': stranger((socket, place) => {
    const { message } = startPlainScram()
    const first = Buffer.from(message)
    socket.write(Buffer.concat([start(place), frame(0x70, zeroTerminated('SCRAM-SHA-256'), int32(first.length), first)]))
  }),
  'a password message of 2 GB': stranger((socket, place) =>
    socket.write(Buffer.concat([start(place), Buffer.from([0x70]), int32(twoGigabytes)])),
  ),
  'guesses handles': async (place) => {
    const client = new RawClient(place.port)
    client.send(start(place))
    await client.authenticate(`sp_${randomBytes(32).toString('base64url')}`).catch(() => undefined)
    return client.socket
  },
  'half a statement, with a handle': insider((socket) => socket.write(frame(0x51, zeroTerminated('SELECT 1')).subarray(0, 9))),
  'half a header, with a handle': insider((socket) => socket.write(Buffer.from([0x51, 0, 0]))),
  'a statement of 2 GB, with a handle': insider((socket) =>
    socket.write(Buffer.concat([Buffer.from([0x51]), int32(twoGigabytes), randomBytes(64)])),
  ),
  'garbage, with a handle': insider((socket) => socket.write(Buffer.concat([Buffer.from([0x51]), int32(-5), randomBytes(256)]))),
}

interface Visits {
  dropped: number
  slowestMs: number
  /** Since when those that are open now have been suffered. */
  readonly open: Set<number>
}

const visits = new Map<string, Visits>()
const over = new AbortController()

if (import.meta.main) {
  process.on('message', (message) => hear(hostileAskShape.parse(message)))
  process.on('disconnect', () => process.exit(0))
}

function hear(asked: z.infer<typeof hostileAskShape>): void {
  if (asked.ask === 'start') {
    for (const [kind, misdeed] of Object.entries(misdeeds)) {
      visits.set(kind, { dropped: 0, slowestMs: 0, open: new Set() })
      for (let number = 0; number < asked.clientsOfEach; number += 1) void comeAgain(kind, misdeed, asked)
    }
    process.send?.({ started: true })
    return
  }
  over.abort()
  const kinds = Object.fromEntries(
    [...visits].map(([kind, { dropped, slowestMs, open }]) => [
      kind,
      { dropped, slowestMs, openLongestMs: Math.max(0, ...[...open].map((sinceMs) => performance.now() - sinceMs)) },
    ]),
  )
  process.send?.({ kinds })
}

async function comeAgain(kind: string, misdeed: Misdeed, place: Place): Promise<void> {
  const seen = visits.get(kind)
  if (seen === undefined) return
  while (!over.signal.aborted) {
    const sinceMs = performance.now()
    seen.open.add(sinceMs)
    const socket = await misdeed(place)
    await new Promise<void>((resolve) => {
      if (socket.destroyed) resolve()
      socket.once('close', () => resolve())
    })
    seen.open.delete(sinceMs)
    seen.dropped += 1
    seen.slowestMs = Math.max(seen.slowestMs, performance.now() - sinceMs)
    while (performance.now() - sinceMs < visitMs && !over.signal.aborted)
      await new Promise((resolve) => setTimeout(resolve, lookMs))
  }
}
