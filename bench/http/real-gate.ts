import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { writeFileSync } from 'node:fs'
import { startGate } from '../../tests/servers/gate.ts'

/** A real gate and a real vault, as they ship, with everything on. Prints port, agent, handle, authority, and the gate's own process. */
const { values } = parseArgs({
  options: { port: { type: 'string' }, host: { type: 'string' }, folder: { type: 'string' }, trust: { type: 'string' } },
})
const secret = join(values.folder ?? '', 'secret')
writeFileSync(secret, 'real-secret-of-the-bench\n', { mode: 0o600 })
const gate = await startGate({
  postgres: null,
  agents: { bench: { owner: 'ada', may: ['read cloud'] } },
  apis: {
    cloud: {
      protocol: 'http',
      connector: 'railway',
      hosts: [values.host],
      graphql: ['/graphql/v2'],
      use: `file:${secret}`,
      dial: `127.0.0.1:${values.port}`,
      authorities: values.trust,
    },
  },
})
process.once('SIGTERM', () => void gate.stop().then(() => process.exit(0)))
const authority = readFileSync(join(gate.directory, 'authority', 'ca.pem'), 'utf8')
console.log(
  JSON.stringify({ port: gate.httpPort, agent: 'bench', handle: await gate.issue('bench'), authority, pid: gate.process.pid }),
)
