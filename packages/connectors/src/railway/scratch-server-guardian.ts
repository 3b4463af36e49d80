import { spawn } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { findSandbox } from './scratch-server-sandbox.ts'

/**
 * Runs a scratch PostgreSQL and ends it, taking its folder away, when whoever started it is gone: PostgreSQL itself does not notice, and
 * a whole database would stay behind. Started by scratch-server.ts as `--postgres FILE --data DIR [--remove DIR] [--uid N --gid N] -- SETTING…`.
 * Prints `ready` once. A scratch is ended at once: nothing in it is to be kept. Anything else gets a checkpoint first.
 */
const { values, positionals } = parseArgs({
  options: {
    postgres: { type: 'string' },
    data: { type: 'string' },
    remove: { type: 'string' },
    uid: { type: 'string' },
    gid: { type: 'string' },
  },
  allowPositionals: true,
})
const { postgres, data, remove, uid, gid } = values
if (postgres === undefined || data === undefined) throw new Error('scratch guardian: --postgres and --data are needed')

const fastShutdownMs = 60_000
const owner = uid === undefined || gid === undefined ? null : { uid: Number(uid), gid: Number(gid) }
const sandbox = findSandbox(owner)
const [program = postgres, ...words] = [...sandbox.words, postgres, '-D', data, ...positionals.flatMap((one) => ['-c', one])]
const server = spawn(program, words, {
  cwd: '/',
  stdio: ['ignore', 'ignore', 'pipe'],
  env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
  // A sandbox becomes that user by itself, last of all.
  ...(owner === null || sandbox.words.length > 0 ? {} : owner),
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
  process.stdout.write('ready\n')
})
server.once('error', (error) => {
  process.stderr.write(`${error.message}\n`)
  leave(1)
})
server.once('exit', (code, signal) => leave(signal === null && code === 0 ? 0 : 1))

function leave(code: number): never {
  if (remove !== undefined) rmSync(remove, { recursive: true, force: true, maxRetries: 5 })
  process.exit(code)
}

let stopping = false
function stop(): void {
  if (stopping) return
  stopping = true
  tell(remove === undefined ? 'SIGINT' : 'SIGQUIT')
  setTimeout(() => server.kill('SIGKILL'), remove === undefined ? fastShutdownMs : 5_000)
}
/** Tells the server itself: its keeper would only wait. */
function tell(signal: 'SIGINT' | 'SIGQUIT'): void {
  try {
    const children = sandbox.isKept ? readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8') : ''
    const [first = ''] = children.trim().split(' ')
    if (first === '') server.kill(sandbox.isKept ? 'SIGKILL' : signal)
    else process.kill(Number(first), signal)
  } catch {
    // It is gone, or never came up.
    server.kill('SIGKILL')
  }
}
// When our parent is killed, its end of this pipe closes.
process.stdin.on('end', stop).on('error', stop).on('close', stop).resume()
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, stop)
process.stdout.on('error', () => undefined)
process.stderr.on('error', () => undefined)
