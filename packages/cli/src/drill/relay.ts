import { connect, createServer } from 'node:net'
import { createServer as createHttpServer } from 'node:http'
import { z } from 'zod'

/**
 * A relay between gate and server, as a process of its own: what it counts is evidence from outside the gate.
 * `relay.ts TARGET_PORT`; prints `{"ready":true,"port":…,"countPort":…}`; GET / on countPort gives the counts: in all, and by the role that each
 * connection began with, since the gate asks questions of its own under another role than agents' work runs as.
 */
const targetPort = z.coerce.number().int().min(1).max(65_535).parse(process.argv[2])

let toServerBytes = 0
let toClientBytes = 0
let connections = 0
const toServerByRole = new Map<string, number>()
/** When the last bytes came, by the machine's monotonic clock in nanoseconds, which other processes can compare with their own. */
const lastByRole = new Map<string, bigint>()

const relay = createServer({ noDelay: true }, (client) => {
  const server = connect({ host: '127.0.0.1', port: targetPort, noDelay: true })
  connections += 1
  let role: string | null = null
  client.on('data', (chunk: Buffer) => {
    role ??= readRole(chunk)
    toServerByRole.set(role, (toServerByRole.get(role) ?? 0) + chunk.length)
    lastByRole.set(role, process.hrtime.bigint())
    toServerBytes += chunk.length
    if (!server.write(chunk)) client.pause()
  })
  server.on('drain', () => client.resume())
  server.on('data', (chunk: Buffer) => {
    toClientBytes += chunk.length
    if (!client.write(chunk)) server.pause()
  })
  client.on('drain', () => server.resume())
  client.on('error', () => server.destroy())
  server.on('error', () => client.destroy())
  client.on('close', () => server.destroy())
  server.on('close', () => client.destroy())
})

const counts = createHttpServer((_request, response) => {
  response.setHeader('content-type', 'application/json')
  const lastNsByRole = Object.fromEntries([...lastByRole].map(([role, atNs]) => [role, String(atNs)]))
  const bytesByRole = Object.fromEntries(toServerByRole)
  response.end(JSON.stringify({ toServerBytes, toServerByRole: bytesByRole, lastNsByRole, toClientBytes, connections }))
})

relay.listen(0, '127.0.0.1', () => {
  counts.listen(0, '127.0.0.1', () => {
    process.stdout.write(
      `${JSON.stringify({ ready: true, port: portOf(relay.address()), countPort: portOf(counts.address()) })}\n`,
    )
  })
})
process.stdin.resume().on('end', () => process.exit(0))
process.on('SIGTERM', () => process.exit(0))

/** The role in a StartupMessage (PostgreSQL §54.7), which a client writes in one go; `cancel` for a CancelRequest. */
function readRole(first: Buffer): string {
  const cancelCode = 80_877_102
  if (first.length >= 8 && first.readInt32BE(4) === cancelCode) return 'cancel'
  const words = first.toString('utf8', 8).split('\0')
  const at = words.findIndex((word, index) => index % 2 === 0 && word === 'user')
  return at === -1 ? 'unknown' : (words[at + 1] ?? 'unknown')
}

function portOf(address: ReturnType<typeof relay.address>): number {
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has a port')
  return address.port
}
