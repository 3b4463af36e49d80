import { parseArgs } from 'node:util'
import { postgresProtocol } from '../../packages/gateway/src/protocols/postgres/index.ts'
import { openPostgresUpstreams } from '../../packages/gateway/src/upstreams/postgres/index.ts'
import { FakeGate } from '../../tests/fakes/govern.ts'

/** The protocol alone, with a govern that clears at once: the floor of the gate's own cost. Prints port, user, password, database. */
const { values } = parseArgs({ options: { url: { type: 'string' } } })
const url = values.url ?? ''
const fake = new FakeGate({
  decide: (asked) => ({ kind: /^\s*(select|begin|end|commit|truncate|vacuum)/i.test(asked.text) ? 'read' : 'write' }),
  forgetful: true,
})
const password = fake.issue('bench')
const upstreams = openPostgresUpstreams(
  [{ name: 'bench', environment: 'development', useUrl: url, protectUrl: url }],
  fake.gate.killSwitch,
)
const listener = await postgresProtocol.listen(fake.gate, upstreams, { host: '127.0.0.1', port: 0 })
process.once('SIGTERM', () => void listener.close().then(() => process.exit(0)))
console.log(JSON.stringify({ port: listener.address.port, user: 'bench', password, database: 'bench' }))
