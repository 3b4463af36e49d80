import { createRequire } from 'node:module'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'

/** mockttp as an intercepting proxy, from a folder it was installed into for this run: nothing of ours needs it. */
const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    host: { type: 'string' },
    folder: { type: 'string' },
    trust: { type: 'string' },
    peers: { type: 'string' },
  },
})
interface Rule {
  thenForwardTo(target: string, options: object): Promise<unknown>
}
interface Proxy {
  readonly port: number
  start(): Promise<void>
  forAnyRequest(): Rule
}
const shape = z.object({
  generateCACertificate: z.custom<() => Promise<{ readonly key: string; readonly cert: string }>>(
    (value) => typeof value === 'function',
  ),
  getLocal: z.custom<(options: object) => Proxy>((value) => typeof value === 'function'),
})
const mockttp = shape.parse(createRequire(join(values.peers ?? '', 'package.json'))('mockttp'))
const authority = await mockttp.generateCACertificate()
const proxy = mockttp.getLocal({ https: authority, http2: false, recordTraffic: false })
await proxy.start()
await proxy
  .forAnyRequest()
  .thenForwardTo(`https://127.0.0.1:${values.port}`, { ignoreHostHttpsErrors: true, forwarding: { updateHostHeader: false } })
process.once('SIGTERM', () => process.exit(0))
console.log(JSON.stringify({ port: proxy.port, authority: authority.cert }))
