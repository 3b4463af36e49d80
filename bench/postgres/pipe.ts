import { connect, createServer } from 'node:net'
import { parseArgs } from 'node:util'

/** The bare Node pipe: what any gate in this runtime costs before it does anything. Prints its port. */
const { values } = parseArgs({ options: { port: { type: 'string' } } })
const upstream = Number(values.port)
const server = createServer({ noDelay: true }, (client) => {
  const backend = connect({ host: '127.0.0.1', port: upstream, noDelay: true })
  client.on('data', (chunk) => {
    if (backend.write(chunk)) return
    client.pause()
    backend.once('drain', () => client.resume())
  })
  backend.on('data', (chunk) => {
    if (client.write(chunk)) return
    backend.pause()
    client.once('drain', () => backend.resume())
  })
  for (const [one, other] of [
    [client, backend],
    [backend, client],
  ] as const) {
    one.on('error', () => other.destroy())
    one.on('close', () => other.destroy())
  }
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  console.log(JSON.stringify({ port: typeof address === 'object' && address !== null ? address.port : 0 }))
})
