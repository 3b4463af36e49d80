import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { openAuthority } from '../../packages/gateway/src/authority/index.ts'
import { httpProtocol } from '../../packages/gateway/src/protocols/http/index.ts'
import { openHttpUpstreams } from '../../packages/gateway/src/upstreams/http/index.ts'
import { FakeGate } from '../../tests/fakes/govern.ts'

/** The protocol alone, with a govern that clears at once: the floor of the gate's own cost. Prints port, agent, handle and authority. */
const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    host: { type: 'string' },
    folder: { type: 'string' },
    trust: { type: 'string' },
    recall: { type: 'boolean', default: false },
  },
})
const fake = new FakeGate({ decide: () => ({ kind: 'read' }), recall: values.recall ? 'reads' : 'never', forgetful: true })
const handle = fake.issue('bench')
const secret = 'real-secret-of-the-bench'
const upstreams = openHttpUpstreams(
  [
    {
      name: 'bench',
      environment: 'development',
      connector: 'fake',
      hosts: [values.host ?? ''],
      credential: 'authorization: Bearer {secret}',
      useSecret: secret,
      protectSecret: secret,
      dial: { host: '127.0.0.1', port: Number(values.port) },
      authorities: readFileSync(values.trust ?? '', 'utf8'),
    },
  ],
  fake.gate.killSwitch,
)
const certificates = await openAuthority(values.folder ?? '', { nowMs: () => Date.now() })
const listener = await httpProtocol.listen(fake.gate, upstreams, { host: '127.0.0.1', port: 0, certificates })
process.once('SIGTERM', () => process.exit(0))
console.log(JSON.stringify({ port: listener.address.port, agent: 'bench', handle, authority: certificates.certificate }))
