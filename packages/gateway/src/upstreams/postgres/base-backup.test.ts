import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KillSwitch, SqlAccess } from '@sallyport/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startPostgres, type PostgresServer } from '../../../../../tests/servers/postgres.ts'
import { authentication, frame, parameterStatus, readyForQuery, server as wire } from '../../protocols/postgres/wire.ts'
import { streamBaseBackup } from './base-backup.ts'
import { openPostgresUpstreams } from './upstreams.ts'

const killSwitch: KillSwitch = { epoch: () => 0, epochOf: () => 0, stopped: () => null }
let server: PostgresServer

beforeAll(async () => {
  server = await startPostgres()
  await server.query(`CREATE TABLE kept AS SELECT i, md5(i::text) FROM generate_series(1, 50000) i`)
  await server.query(
    `CREATE ROLE keeper LOGIN REPLICATION PASSWORD 'keeper-password'; CREATE ROLE plain LOGIN PASSWORD 'plain-password'`,
  )
})
afterAll(() => server.stop())

function urlOf(role: string): string {
  return `postgres://${role}:${role}-password@127.0.0.1:${server.port}/postgres`
}

async function open(protectUrl: string): Promise<{ readonly access: SqlAccess; readonly close: () => void }> {
  const upstreams = openPostgresUpstreams(
    [{ name: 'shop', environment: 'production', useUrl: protectUrl, protectUrl }],
    killSwitch,
  )
  const opened = await upstreams.openProtected('shop')
  const { upstream } = opened
  if (upstream.access.kind !== 'sql') throw new Error('not a SQL access')
  return { access: upstream.access, close: () => opened.close() }
}

async function collect(access: SqlAccess): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of access.baseBackup?.() ?? []) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const walsenders = async (): Promise<unknown> =>
  (await server.query('SELECT count(*)::int AS n FROM pg_stat_replication'))[0]?.['n']

async function waitForNoWalsender(): Promise<void> {
  const deadlineMs = Date.now() + 5_000
  while ((await walsenders()) !== 0) {
    if (Date.now() > deadlineMs) throw new Error('the walsender stays')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

describe('against PostgreSQL', () => {
  test('one tar file that GNU tar reads, with the WAL that it needs to start', async () => {
    const { access, close } = await open(urlOf('keeper'))
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-tar-test-'))
    try {
      writeFileSync(join(folder, 'base.tar'), await collect(access))
      const names = execFileSync('tar', ['tf', join(folder, 'base.tar')])
        .toString()
        .split('\n')
      for (const name of ['PG_VERSION', 'backup_label', 'global/pg_control', 'postgresql.conf']) expect(names).toContain(name)
      expect(names.some((name) => /^pg_wal\/[0-9A-F]{24}$/.test(name))).toBe(true)
      expect(names).not.toContain('tablespace_map')
    } finally {
      close()
      rmSync(folder, { recursive: true, force: true })
    }
    await waitForNoWalsender()
  })

  test('whoever stops reading ends the walsender', async () => {
    const { access, close } = await open(urlOf('keeper'))
    for await (const chunk of access.baseBackup?.() ?? []) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    await waitForNoWalsender()
    close()
  })

  test('a role that may not replicate gets nothing, and no password is in the error', async () => {
    const { access, close } = await open(urlOf('plain'))
    await expect(collect(access)).rejects.toMatchObject({
      code: 'upstream_unavailable',
      message: expect.stringContaining('42501'),
    })
    await expect(collect(access)).rejects.not.toMatchObject({ message: expect.stringContaining('plain-password') })
    close()
  })

  test('a server with a tablespace of its own is refused: its files would be missing', async () => {
    const folder = mkdtempSync('/tmp/sallyport-space-test-')
    execFileSync('chown', ['postgres', folder])
    await server.query(`CREATE TABLESPACE outside LOCATION '${folder}'`)
    const { access, close } = await open(urlOf('keeper'))
    await expect(collect(access)).rejects.toMatchObject({ code: 'not_supported' })
    close()
    await server.query('DROP TABLESPACE outside')
    rmSync(folder, { recursive: true, force: true })
    await waitForNoWalsender()
  })

  test('another server than the one that was looked at is refused', async () => {
    const target = { host: '127.0.0.1', port: server.port, user: 'keeper', password: 'keeper-password', database: 'postgres' }
    const chunks = streamBaseBackup({
      name: 'shop',
      target: { ...target, tls: 'disable', rootCertificate: null },
      identity: '1234567890:5',
      weakAuthentication: false,
      connectTimeoutMs: 5_000,
    })
    await expect(chunks.next()).rejects.toMatchObject({ code: 'target_changed' })
  })
})

describe('against something that is no PostgreSQL', () => {
  const greeting = Buffer.concat([
    authentication(0),
    parameterStatus('server_version', '18.1'),
    parameterStatus('standard_conforming_strings', 'on'),
    parameterStatus('client_encoding', 'UTF8'),
    readyForQuery(0x49),
  ])
  const row = frame(wire.dataRow, Buffer.from([0, 1, 0, 0, 0, 1, 0x37]))
  const archive = frame(wire.copyData, Buffer.from('nbase.tar\0\0'))
  const data = frame(wire.copyData, Buffer.from('dbytes'))

  async function backupFrom(answer: (socket: Socket) => void, version = greeting): Promise<string> {
    const fake: Server = createServer((socket) => {
      socket.on('error', () => undefined)
      let step = 0
      socket.on('data', () => {
        step += 1
        if (step === 1) socket.write(version)
        if (step === 2) socket.write(Buffer.concat([row, readyForQuery(0x49)]))
        if (step === 3) answer(socket)
      })
    })
    await new Promise<void>((resolve) => fake.listen(0, '127.0.0.1', resolve))
    const address = fake.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    try {
      const source = streamBaseBackup({
        name: 'shop',
        target: { host: '127.0.0.1', port, user: 'u', password: 'p', database: 'd', tls: 'disable', rootCertificate: null },
        identity: '7:1',
        weakAuthentication: true,
        connectTimeoutMs: 5_000,
      })
      let text = ''
      for await (const chunk of source) text += Buffer.from(chunk).toString('latin1')
      return text
    } finally {
      fake.close()
    }
  }

  const complete = frame(wire.commandComplete, Buffer.from('SELECT\0'))

  test('a whole answer is taken, however it is cut', async () => {
    const whole = Buffer.concat([archive, data, data, complete, readyForQuery(0x49)])
    const bytes = async (socket: Socket): Promise<void> => {
      socket.setNoDelay(true)
      for (const byte of whole) {
        socket.write(Buffer.from([byte]))
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    expect(await backupFrom((socket) => void bytes(socket))).toBe('bytesbytes')
  })

  test.each([
    ['ends in the middle', Buffer.concat([archive, data]), true],
    ['says it is done without having said so of the copy', Buffer.concat([archive, data, readyForQuery(0x49)]), false],
    ['sends no archive', Buffer.concat([complete, readyForQuery(0x49)]), false],
    ['sends a length of 2 GiB', Buffer.from([wire.copyData, 0x7f, 0xff, 0xff, 0xff]), false],
    ['sends a negative length', Buffer.from([wire.copyData, 0xff, 0xff, 0xff, 0xff]), false],
    ['sends two archives', Buffer.concat([archive, data, archive, data, complete, readyForQuery(0x49)]), false],
    [
      'sends an archive of a tablespace',
      Buffer.concat([frame(wire.copyData, Buffer.from('n16384.tar\0/elsewhere\0')), data]),
      false,
    ],
    ['sends an error', frame(wire.error, Buffer.from('SERROR\0C58P01\0Mno such file\0\0')), false],
  ])('one that %s gives no backup', async (_, bytes, end) => {
    const answer = (socket: Socket): void => void (end ? socket.end(bytes) : socket.write(bytes))
    await expect(backupFrom(answer)).rejects.toMatchObject({ code: expect.stringMatching(/^(copy_failed|not_supported)$/) })
  })

  test('a version that speaks another dialect is refused before it is asked', async () => {
    const old = Buffer.from(greeting.toString('latin1').replace('18.1', '14.9'), 'latin1')
    await expect(backupFrom(() => undefined, old)).rejects.toMatchObject({ code: 'not_supported' })
  })
})
