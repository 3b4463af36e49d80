import { connect, createServer } from 'node:net'
import { createServer as createHttpServer } from 'node:http'
import { z } from 'zod'

/**
 * A relay between gate and server, as a process of its own: what it counts is evidence from outside the gate.
 * `relay.ts TARGET_PORT`; prints `{"ready":true,"port":…,"countPort":…}`; GET / on countPort gives the counts.
 */
const targetPort = z.coerce.number().int().min(1).max(65_535).parse(process.argv[2])

let toServerBytes = 0
let toClientBytes = 0
let connections = 0
let lastToServerAtMs = 0

const relay = createServer({ noDelay: true }, (client) => {
  const server = connect({ host: '127.0.0.1', port: targetPort, noDelay: true })
  connections += 1
  client.on('data', (chunk: Buffer) => {
    toServerBytes += chunk.length
    lastToServerAtMs = Date.now()
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
  response.end(JSON.stringify({ toServerBytes, toClientBytes, connections, lastToServerAtMs }))
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

function portOf(address: ReturnType<typeof relay.address>): number {
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has a port')
  return address.port
}
