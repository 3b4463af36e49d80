import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { choosePort } from '../../packages/cli/src/playground/port.ts'

/** Debian's mitmproxy in front of the same server. It looks names up by itself, so a few lines of Python send it there. */
const { values } = parseArgs({
  options: { port: { type: 'string' }, host: { type: 'string' }, folder: { type: 'string' }, trust: { type: 'string' } },
})
const folder = values.folder ?? ''
mkdirSync(folder, { recursive: true })
const addon = join(folder, 'there.py')
writeFileSync(addon, `def server_connect(data):\n    data.server.address = ("127.0.0.1", ${Number(values.port)})\n`)
const port = await choosePort(null)
const options = ['-q', '--listen-host', '127.0.0.1', '--listen-port', String(port), '--ssl-insecure', '-s', addon]
const more = ['--set', `confdir=${folder}`, '--set', 'connection_strategy=lazy', '--set', 'http2=false']
const child = spawn('mitmdump', [...options, ...more], { stdio: ['ignore', 'ignore', 'inherit'] })
process.once('SIGTERM', () => {
  child.kill('SIGTERM')
  process.exit(0)
})
child.once('exit', () => process.exit(1))
const certificate = join(folder, 'mitmproxy-ca-cert.pem')
// It writes its authority before it listens, and says neither.
while (!existsSync(certificate) || !(await isListening())) await sleep(50)
console.log(JSON.stringify({ port, authority: readFileSync(certificate, 'utf8'), pid: child.pid }))

async function isListening(): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/`).then(
    () => true,
    () => false,
  )
}
