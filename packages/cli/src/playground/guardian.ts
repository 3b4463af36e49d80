import { spawn } from 'node:child_process'
import { parseArgs } from 'node:util'

/**
 * Runs PostgreSQL and ends it when whoever started us is gone: PostgreSQL itself does not notice, and would outlive a killed command line.
 * Started by server.ts as `guardian.ts --postgres FILE --data DIR [--uid N --gid N] -- SETTING…`. Prints `{"ready":true,"pid":N}` once.
 */

/** A fast shutdown writes a checkpoint; then an immediate one, which recovers at the next start. */
const fastShutdownMs = 8_000
const immediateShutdownMs = 2_000

const { values, positionals } = parseArgs({
  options: { postgres: { type: 'string' }, data: { type: 'string' }, uid: { type: 'string' }, gid: { type: 'string' } },
  allowPositionals: true,
})
const { postgres, data, uid, gid } = values
if (postgres === undefined || data === undefined) throw new Error('guardian: --postgres and --data are needed')

const server = spawn(postgres, ['-D', data, ...positionals.flatMap((setting) => ['-c', setting])], {
  cwd: '/',
  stdio: ['ignore', 'ignore', 'pipe'],
  env: process.env,
  ...(uid === undefined || gid === undefined ? {} : { uid: Number(uid), gid: Number(gid) }),
})

let announced = false
let tail = ''
server.stderr.setEncoding('utf8')
server.stderr.on('data', (text: string) => {
  process.stderr.write(text)
  if (announced) return
  tail = (tail + text).slice(-4_000)
  if (!tail.includes('database system is ready to accept connections')) return
  announced = true
  process.stdout.write(`${JSON.stringify({ ready: true, pid: server.pid })}\n`)
})
server.once('error', (error) => {
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
})
server.once('exit', (code, signal) => process.exit(stopping && signal === null && code === 0 ? 0 : 1))

let stopping = false
function stop(): void {
  if (stopping) return
  stopping = true
  server.kill('SIGINT')
  setTimeout(() => server.kill('SIGQUIT'), fastShutdownMs)
  setTimeout(() => server.kill('SIGKILL'), fastShutdownMs + immediateShutdownMs)
}
// When our parent is killed, its end of this pipe closes.
process.stdin.on('end', stop).on('error', stop).on('close', stop).resume()
process.on('SIGTERM', stop)
process.on('SIGINT', stop)
process.stdout.on('error', () => undefined)
process.stderr.on('error', () => undefined)
