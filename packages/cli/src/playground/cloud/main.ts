import { parseArgs } from 'node:util'
import { choosePort } from '../port.ts'
import { isKnownToken, openAccount } from './account.ts'
import { makeAnswers } from './answers.ts'
import { makeServerIdentity } from './certificate.ts'
import { makeEndpoint } from './endpoint.ts'
import { Evidence } from './evidence.ts'
import { makeSchema } from './schema.ts'

/**
 * The stand-in for a cloud provider's API: a process of its own, started as `main.ts --playground DIR [--port N]`. It holds the volumes on which
 * the playground's databases lie, and deletes them when it is told to by whoever has a token. Prints `{"ready":true,"port":N}` once.
 */
const { values } = parseArgs({ options: { playground: { type: 'string' }, port: { type: 'string' } } })
const { playground: state, port: preferred } = values
if (state === undefined) throw new Error('cloud: --playground is needed')

const nowMs = (): number => Date.now()
openAccount(state, nowMs())
const evidence = new Evidence(state, nowMs)
const { tls, http } = makeEndpoint(await makeServerIdentity(state, nowMs()), {
  schema: makeSchema(),
  answers: makeAnswers(state, nowMs),
  isKnownToken: (token) => isKnownToken(state, token),
  evidence,
})
const port = await choosePort(preferred === undefined ? null : Number(preferred))
tls.once('error', (error: Error) => {
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
})
tls.listen(port, '127.0.0.1', () => process.stdout.write(`${JSON.stringify({ ready: true, port })}\n`))

let stopping = false
function stop(): void {
  if (stopping) return
  stopping = true
  tls.close(() => {
    evidence.close()
    process.exit(0)
  })
  http.closeAllConnections()
}
// When our parent is killed, its end of this pipe closes.
process.stdin.on('end', stop).on('error', stop).on('close', stop).resume()
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, stop)
process.stdout.on('error', () => undefined)
