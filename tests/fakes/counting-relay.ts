import { connect, createServer, type Socket } from 'node:net'
import { z } from 'zod'

/**
 * A relay between gate and server, as a process of its own: what it counts is evidence from outside the gate. Started by `fork` with the
 * server's port; its answers to `counts` and `forget` go back over the channel. Times are the machine's monotonic clock, nanoseconds, so that
 * another process can compare them with its own.
 */
const cancelCode = 80_877_102
/** As tests/servers/gate.ts calls the role that the gate looks and copies with. */
const ownStart = Buffer.from('user\0app_protect\0')

export const relayAskShape = z.discriminatedUnion('ask', [
  /** Bytes that came from the gate, and how many of them after this moment. */
  z.object({ ask: z.literal('counts'), afterNs: z.string() }),
  /** Drops what is known of connections that have ended. */
  z.object({ ask: z.literal('forget') }),
])
export const relayCountsShape = z.object({
  /** All connections but those that carry one CancelRequest, and the gate's own. */
  bytes: z.number(),
  bytesAfter: z.number(),
  lastByteNs: z.string(),
  open: z.number(),
  connections: z.number(),
  cancels: z.number(),
})
export type RelayCounts = z.infer<typeof relayCountsShape>

interface Line {
  isCancel: boolean
  /** The gate's own questions, under its own role: they go on whoever is killed, and are nobody's operation. */
  isOwn: boolean
  open: boolean
  readonly chunks: { readonly atNs: bigint; readonly bytes: number }[]
}

if (import.meta.main) serve(z.coerce.number().int().min(1).max(65_535).parse(process.argv[2]))

function serve(targetPort: number): void {
  const lines = new Set<Line>()
  const relay = createServer({ noDelay: true }, (client) => join(client, targetPort, lines))
  process.on('message', (message) => {
    const asked = relayAskShape.parse(message)
    if (asked.ask === 'forget') {
      for (const line of lines) if (!line.open) lines.delete(line)
      process.send?.({ forgotten: true })
    } else process.send?.(count(lines, BigInt(asked.afterNs)))
  })
  process.on('disconnect', () => process.exit(0))
  relay.listen(0, '127.0.0.1', () => {
    const address = relay.address()
    process.send?.({ port: address !== null && typeof address === 'object' ? address.port : 0 })
  })
}

function join(client: Socket, targetPort: number, lines: Set<Line>): void {
  const line: Line = { isCancel: false, isOwn: false, open: true, chunks: [] }
  lines.add(line)
  const server = connect({ host: '127.0.0.1', port: targetPort, noDelay: true })
  client.on('data', (chunk: Buffer) => {
    if (line.chunks.length === 0) {
      line.isCancel = chunk.length >= 8 && chunk.readInt32BE(4) === cancelCode
      line.isOwn = chunk.includes(ownStart)
    }
    line.chunks.push({ atNs: process.hrtime.bigint(), bytes: chunk.length })
    if (!server.write(chunk)) client.pause()
  })
  server.on('data', (chunk: Buffer) => {
    if (!client.write(chunk)) server.pause()
  })
  server.on('drain', () => client.resume())
  client.on('drain', () => server.resume())
  client.on('error', () => undefined)
  server.on('error', () => undefined)
  client.on('close', () => {
    line.open = false
    server.destroy()
  })
  server.on('close', () => client.destroy())
}

function count(lines: ReadonlySet<Line>, afterNs: bigint): RelayCounts {
  const agents = [...lines].filter(({ isCancel, isOwn }) => !isCancel && !isOwn)
  const chunks = agents.flatMap((line) => line.chunks)
  const sum = (of: typeof chunks): number => of.reduce((total, { bytes }) => total + bytes, 0)
  const lastByteNs = chunks.reduce((last, { atNs }) => (atNs > last ? atNs : last), 0n)
  return {
    bytes: sum(chunks),
    bytesAfter: sum(chunks.filter(({ atNs }) => atNs > afterNs)),
    lastByteNs: String(lastByteNs),
    open: agents.filter(({ open }) => open).length,
    connections: agents.length,
    cancels: lines.size - agents.length,
  }
}
