import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectPlain, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openAuthority, type Authority } from '../../../../../tests/fakes/authority.ts'
import { RawClient, startScram } from '../../../../../tests/fakes/postgres-client.ts'
import { startPostgresGate, type PostgresGate } from '../../../../../tests/fakes/postgres-gate.ts'
import { bindToEndPoint } from './channel-binding.ts'
import { gssCode, int32, queryMessage, sslCode, startupMessage } from './wire.ts'
import { inDepth } from '../../../../../tests/breadth.ts'

const run = promisify(execFile)
let folder: string
let authority: Authority
let authorityFile: string
let gate: PostgresGate
const startupTimeoutMs = 2_000

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sp-client-tls-'))
  authority = await openAuthority(join(folder, 'authority'), { nowMs: () => Date.now() })
  authorityFile = join(folder, 'ca.pem')
  writeFileSync(authorityFile, authority.certificate)
  const tls = { certificate: () => authority.issue('localhost') }
  gate = await startPostgresGate({ upstreams: ['orders'] }, { startupTimeoutMs, tls })
})
afterAll(async () => {
  await gate.stop()
  rmSync(folder, { recursive: true })
})

const sslRequest = Buffer.concat([int32(8), int32(sslCode)])
const start = startupMessage(
  new Map([
    ['user', 'robot'],
    ['database', 'orders'],
  ]),
)

async function psql(sql: string, environment: NodeJS.ProcessEnv): Promise<string> {
  const env = { ...gate.environment, PGHOST: 'localhost', PGSSLROOTCERT: authorityFile, ...environment }
  return run('psql', ['-XAtqc', sql], { env, maxBuffer: 16 * 1024 * 1024 }).then(
    ({ stdout }) => stdout.trim(),
    (error: unknown) => (error instanceof Error && 'stderr' in error ? `refused: ${String(error.stderr)}` : 'failed'),
  )
}

/** One byte, outside framing. */
function readByte(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once('readable', () => {
      const byte: unknown = socket.read(1)
      resolve(Buffer.isBuffer(byte) ? byte.toString() : 'closed')
    })
    socket.once('close', () => resolve('closed'))
  })
}

async function openTls(options: ConnectionOptions & { readonly direct?: boolean } = {}): Promise<TLSSocket> {
  const socket = connectPlain({ host: '127.0.0.1', port: gate.port, noDelay: true })
  socket.on('error', () => undefined)
  if (options.direct !== true) {
    socket.write(sslRequest)
    expect(await readByte(socket)).toBe('S')
  }
  const secure = connect({
    socket,
    servername: 'localhost',
    ca: authority.certificate,
    ALPNProtocols: ['postgresql'],
    ...options,
  })
  secure.on('error', () => undefined)
  await new Promise<void>((resolve, reject) => {
    secure.once('secureConnect', () => resolve())
    secure.once('close', () => reject(new Error('closed')))
  })
  return secure
}

describe('real clients', () => {
  test('psql: verified by name, channel binding demanded, everything as without', async () => {
    const strict = { PGSSLMODE: 'verify-full', PGCHANNELBINDING: 'require' }
    expect(await psql('select 1 as one', strict)).toBe('1')
    expect(await psql("select repeat('x', 3000000)", strict)).toHaveLength(3_000_000)
    expect(await psql('copy (select generate_series(1, 3)) to stdout', strict)).toBe('1\n2\n3')
    expect(await psql('select 1', { PGSSLMODE: 'verify-full', PGHOST: '127.0.0.1' })).toContain('does not match host name')
    expect(await psql('select 1', { PGSSLMODE: 'disable', PGCHANNELBINDING: 'require' })).toContain('channel binding')
    expect(await psql('select 1', { PGSSLMODE: 'disable' })).toBe('1')
  })

  test.each(inDepth('node-postgres, with channel binding and without'))('%s', async () => {
    for (const enableChannelBinding of [true, false]) {
      const client = new pg.Client({
        host: 'localhost',
        port: gate.port,
        user: 'robot',
        password: gate.secret,
        database: 'orders',
        ssl: { ca: authority.certificate },
        enableChannelBinding,
      })
      await client.connect()
      expect((await client.query('select $1::int as n', [7])).rows).toEqual([{ n: 7 }])
      await client.end()
    }
  })

  test.each(inDepth('pgbench over TLS in all three modes'))('%s', async () => {
    const env = { ...gate.environment, PGHOST: 'localhost', PGSSLMODE: 'require' }
    const script = join(folder, 'one.sql')
    writeFileSync(script, 'select 1;\n')
    for (const mode of ['simple', 'extended', 'prepared']) {
      const { stdout } = await run('pgbench', ['-n', '-c', '2', '-t', '20', '-M', mode, '-f', script], { env })
      expect(stdout).toContain('number of transactions actually processed: 40/40')
    }
  })

  test('TLS from the first byte, as newer libpq has it, for our protocol only', async () => {
    const secure = await openTls({ direct: true })
    const raw = new RawClient(secure)
    raw.send(start)
    await raw.authenticate(gate.secret)
    raw.send(queryMessage('select 1'))
    expect((await raw.answers(2)).at(-1)).toContain('Z')
    raw.close()
    const other = await openTls({ direct: true, ALPNProtocols: ['http/1.1'] }).then(
      (socket) => new Promise<string>((resolve) => socket.resume().once('close', () => resolve('closed'))),
      () => 'closed',
    )
    expect(other).toBe('closed')
  })
})

describe('ways around', () => {
  /** The body of the last answer to a SCRAM exchange begun like this: `R` when it went through. */
  async function prove(offered: readonly string[], binding: Buffer | null, secure: boolean): Promise<string> {
    const raw = new RawClient(secure ? await openTls() : gate.port)
    raw.send(start)
    const scram = startScram(offered, binding)
    if (scram === null) throw new Error('nothing to begin with')
    const answer = await raw.authenticate(gate.secret, scram).then(
      () => 'proven',
      (error: unknown) => (error instanceof Error ? error.message : 'failed'),
    )
    raw.close()
    return answer
  }

  test('binding: to our certificate only; a stripped offer is noticed; none outside TLS', async () => {
    const ours = bindToEndPoint((await authority.issue('localhost')).certificate)
    const theirs = bindToEndPoint((await authority.issue('elsewhere')).certificate)
    const plus = 'SCRAM-SHA-256-PLUS'
    expect(await prove([plus], ours, true)).toBe('proven')
    expect(await prove([plus], theirs, true)).toContain('authentication failed')
    // Somebody between us hid that we can bind: the client says `y`.
    expect(await prove(['SCRAM-SHA-256'], ours, true)).toContain('authentication failed')
    expect(await prove([plus], ours, false)).toContain('authentication failed')
    // Outside TLS nobody could have hidden anything that we offered.
    expect(await prove(['SCRAM-SHA-256'], ours, false)).toBe('proven')
  })

  test('bytes slipped in ahead of the handshake are never read as the client’s', async () => {
    const socket = connectPlain({ host: '127.0.0.1', port: gate.port })
    socket.on('error', () => undefined)
    socket.write(Buffer.concat([sslRequest, start]))
    expect(await readByte(socket)).toBe('closed')
  })

  test('no second encryption inside the first; GSS is declined', async () => {
    const secure = await openTls()
    secure.write(sslRequest)
    expect(await readByte(secure)).toBe('closed')
    const socket = connectPlain({ host: '127.0.0.1', port: gate.port })
    socket.write(Buffer.concat([int32(8), int32(gssCode)]))
    expect(await readByte(socket)).toBe('N')
    socket.write(sslRequest)
    expect(await readByte(socket)).toBe('S')
    socket.destroy()
  })

  test('a handshake that is none, breaks off or never comes holds nothing for longer than a start may', async () => {
    for (const bytes of [Buffer.from('hello, this is no TLS record at all'), Buffer.from([0x16, 3, 1, 2]), Buffer.alloc(0)]) {
      const socket = connectPlain({ host: '127.0.0.1', port: gate.port })
      socket.on('error', () => undefined)
      const from = performance.now()
      socket.write(sslRequest)
      await readByte(socket)
      if (bytes.length > 0) socket.write(bytes)
      await new Promise((resolve) => socket.resume().once('close', resolve))
      expect(performance.now() - from).toBeLessThan(startupTimeoutMs + 20_000)
    }
    expect(await psql('select 1', { PGSSLMODE: 'require' })).toBe('1')
  })

  test('old TLS is not spoken', async () => {
    await expect(openTls({ maxVersion: 'TLSv1.1', minVersion: 'TLSv1' })).rejects.toThrow('closed')
  })
})
