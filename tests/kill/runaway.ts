import { z } from 'zod'
import { frame, int16, int32, zeroTerminated } from '../../packages/gateway/src/protocols/postgres/wire.ts'
import { RawClient } from '../fakes/postgres-client.ts'

/**
 * An agent out of control, as a process of its own: sends statements as fast as the gate takes them, without waiting for answers, in both
 * protocols, reads and writes, and one that takes for ever; when it is thrown out it comes back, again and again.
 */
export const runaway = new URL(import.meta.url).pathname

export const kinds = ['simple read', 'simple write', 'extended read', 'extended write', 'long read'] as const
export type Kind = (typeof kinds)[number]

export const runawayAskShape = z.object({
  port: z.number(),
  agent: z.string(),
  handle: z.string(),
  database: z.string(),
  kinds: z.array(z.enum(kinds)),
  /** How often to come back after it was thrown out. */
  returns: z.number(),
})
export type RunawayAsk = z.infer<typeof runawayAskShape>
export const runawaySaysShape = z.discriminatedUnion('says', [
  /** Every connection has had answers to what it pumps. */
  z.object({ says: z.literal('pumping') }),
  /** Every connection was ended, and so was each that it tried after: `admitted` of them came in. */
  z.object({ says: z.literal('ended'), answers: z.number(), admitted: z.number(), sqlStates: z.array(z.string()) }),
])

/** Answers that show that a connection pumps. */
const answersBefore = 5
/** Bytes written at once. */
const burstBytes = 16_384

if (import.meta.main) {
  process.on('message', (message) => void run(runawayAskShape.parse(message)))
  process.on('disconnect', () => process.exit(0))
}

async function run(ask: RunawayAsk): Promise<void> {
  const pumps = await Promise.all(ask.kinds.map((kind) => startPump(ask, kind)))
  await Promise.all(pumps.map(({ pumping }) => pumping))
  process.send?.({ says: 'pumping' })
  const sqlStates = new Set((await Promise.all(pumps.map(({ ended }) => ended))).filter((state) => state !== ''))
  let admitted = 0
  for (let tries = 0; tries < ask.returns; tries += 1) {
    const client = await RawClient.open(ask.port, ask.agent, ask.handle, ask.database).catch(() => null)
    if (client !== null && client.startMessages.at(-1)?.type === 'Z') admitted += 1
    client?.close()
  }
  process.send?.({
    says: 'ended',
    answers: pumps.reduce((sum, each) => sum + each.answers(), 0),
    admitted,
    sqlStates: [...sqlStates],
  })
}

interface Pump {
  readonly pumping: Promise<void>
  /** SQLSTATE of the last error that came, or nothing. */
  readonly ended: Promise<string>
  answers(): number
}

async function startPump(ask: RunawayAsk, kind: Kind): Promise<Pump> {
  const { socket } = await RawClient.open(ask.port, ask.agent, ask.handle, ask.database)
  socket.removeAllListeners('data')
  const pumping = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<string>()
  let answers = 0
  let sqlState = ''
  let rest: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    while (bytes.length >= 5 && bytes.length > bytes.readInt32BE(1)) {
      const end = bytes.readInt32BE(1) + 1
      if (bytes[0] === 0x43) answers += 1
      if (bytes[0] === 0x45) sqlState = /\0C([0-9A-Z]{5})\0/.exec(bytes.toString('latin1', 4, end))?.[1] ?? sqlState
      bytes = bytes.subarray(end)
    }
    rest = Buffer.from(bytes)
    if (answers >= answersBefore) pumping.resolve()
  })
  socket.on('close', () => ended.resolve(sqlState))
  if (kind === 'long read') {
    socket.write(query('SELECT pg_sleep(600)'))
    pumping.resolve()
  } else
    pump(
      kind,
      (bytes) => socket.write(bytes),
      (again) => socket.on('drain', again),
    )
  return { pumping: pumping.promise, ended: ended.promise, answers: () => answers }
}

function pump(kind: Exclude<Kind, 'long read'>, write: (bytes: Buffer) => boolean, onDrain: (again: () => void) => void): void {
  const text = kind.endsWith('read') ? 'SELECT count(*) FROM kill_rows' : "INSERT INTO kill_log (who) VALUES ('runaway')"
  const isSimple = kind.startsWith('simple')
  if (!isSimple) write(frame(0x50, zeroTerminated('again'), zeroTerminated(text), int16(0)))
  const one = isSimple ? query(text) : Buffer.concat([bind('again'), frame(0x45, zeroTerminated(''), int32(0)), frame(0x53)])
  const burst = Buffer.concat(Array.from({ length: Math.ceil(burstBytes / one.length) }, () => one))
  const fill = (): void => {
    while (write(burst));
  }
  onDrain(fill)
  fill()
}

function query(text: string): Buffer {
  return frame(0x51, zeroTerminated(text))
}

function bind(statement: string): Buffer {
  return frame(0x42, zeroTerminated(''), zeroTerminated(statement), int16(0), int16(0), int16(0))
}
