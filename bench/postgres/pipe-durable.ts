import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { diskFileSystem, writeWholeDurably } from '../../packages/gateway/src/log/file-system.ts'

/**
 * The bare Node pipe that has as many bytes on disk before each write as an intent has, one durable write for all that wait, by the call the gate's
 * log makes: what "intent durable before every write" costs before anything is read, decided or said of it. Prints its port.
 */
const { values } = parseArgs({ options: { port: { type: 'string' } } })
const upstream = Number(values.port)
/** Of a UPDATE of pgbench's, as the gate's log has it. */
const intentBytes = 1024
const fileBytes = 1024 * 1024
const folder = mkdtempSync(join(tmpdir(), 'sallyport-pipe-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
process.once('SIGTERM', () => process.exit(0))
const file = await diskFileSystem.open(join(folder, 'intents'), 'create')
if (file === null) throw new Error('no file for the intents')
await file.reserve(0, fileBytes)

let waiting: (() => void)[] = []
let isWriting = false
let at = 0

async function writeAll(open: NonNullable<typeof file>): Promise<void> {
  if (isWriting) return
  isWriting = true
  while (waiting.length > 0) {
    // As the gate does: everybody who was woken by the last one gets into this one.
    await new Promise(setImmediate)
    const group = waiting
    waiting = []
    const bytes = Buffer.alloc(group.length * intentBytes, 'x')
    if (at + bytes.length > fileBytes) at = 0
    await writeWholeDurably(open, bytes, at)
    at += bytes.length
    for (const wake of group) wake()
  }
  isWriting = false
}

/** pgbench's writes begin so, in a Query and in a Parse; a statement that was prepared is known by its name from then on. */
const writes = /(?:UPDATE|INSERT) /
const parsed = /P[^]{4}([^\0]*)\0(UPDATE|INSERT)?/
const bound = /B[^]{4}[^\0]*\0([^\0]*)\0/

const server = createServer({ noDelay: true }, (client) => {
  const backend = connect({ host: '127.0.0.1', port: upstream, noDelay: true })
  const prepared = new Set<string>()
  const isWrite = (chunk: Buffer): boolean => {
    const text = chunk.toString('latin1')
    const [, name = '', verb] = chunk[0] === 0x50 ? (parsed.exec(text) ?? []) : []
    if (name !== '' && verb !== undefined) prepared.add(name)
    return chunk[0] === 0x42 ? prepared.has(bound.exec(text)?.[1] ?? '') : writes.test(text)
  }
  const pass = (chunk: Buffer): void => {
    if (backend.write(chunk)) return
    client.pause()
    backend.once('drain', () => client.resume())
  }
  // pgbench waits for each answer, so nothing overtakes what waits here.
  client.on('data', (chunk) => {
    if (!isWrite(chunk)) return pass(chunk)
    waiting.push(() => pass(chunk))
    void writeAll(file)
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
