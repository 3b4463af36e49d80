import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Access, Session } from '@sallyport/core'
import { FakeGate } from '../../../../../tests/fakes/govern.ts'
import { startPostgres, type PostgresServer } from '../../../../../tests/servers/postgres.ts'
import type { Backend, PostgresUpstreams } from '../../protocols/postgres/index.ts'
import { openPostgresUpstreams } from './index.ts'

let server: PostgresServer
let folder: string
const { killSwitch } = new FakeGate().gate
const session: Session = {
  id: 's',
  subject: { agent: 'a', owner: 'o' },
  handleId: 'h',
  protocol: 'postgres',
  upstream: 'orders',
  openedAtMs: 0,
  peer: '',
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-tls-'))
  chmodSync(folder, 0o755)
  const certificate = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=localhost',
    '-addext',
    'subjectAltName=DNS:localhost',
  ]
  execFileSync('openssl', [...certificate, '-keyout', join(folder, 'key'), '-out', join(folder, 'certificate')], {
    stdio: 'pipe',
  })
  chmodSync(join(folder, 'key'), 0o600)
  if (process.getuid?.() === 0) {
    const uid = Number(execFileSync('id', ['-u', 'postgres']).toString())
    chownSync(join(folder, 'key'), uid, statSync(folder).gid)
  }
  server = await startPostgres(['ssl=on', `ssl_cert_file=${join(folder, 'certificate')}`, `ssl_key_file=${join(folder, 'key')}`])
  await server.query('create database other')
})
afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true })
})

const upstreams = (useUrl: string, weakAuthentication = false, protectUrl = server.url()): PostgresUpstreams =>
  openPostgresUpstreams(
    [{ name: 'orders', environment: 'production', useUrl, protectUrl, weakAuthentication, connectTimeoutMs: 3_000 }],
    killSwitch,
  )
const open = (useUrl: string, readOnly = false): Promise<Backend> =>
  upstreams(useUrl).open('orders', {
    session,
    settings: new Map([['application_name', 'x']]),
    readOnly,
    signal: new AbortController().signal,
  })

test('TLS: verified by name and root, refused for another name, another root, or a server without', async () => {
  const secure = (mode: string, host: string, root = true): string =>
    `postgres://postgres:test-superuser@${host}:${server.port}/postgres?sslmode=${mode}${root ? `&sslrootcert=${join(folder, 'certificate')}` : ''}`
  for (const url of [secure('verify-full', 'localhost'), secure('verify-ca', '127.0.0.1'), secure('require', '127.0.0.1', false)])
    (await open(url)).destroy()
  await expect(open(secure('verify-full', '127.0.0.1'))).rejects.toMatchObject({ code: 'upstream_unavailable' })
  await expect(open(secure('verify-full', 'localhost', false))).rejects.toMatchObject({ code: 'upstream_unavailable' })
  expect(() => upstreams(secure('prefer', 'localhost'))).toThrow('sslmode="prefer"')
  // A password, and all that is read, in the clear over a network: only where somebody wrote that down.
  expect(() => upstreams('postgres://app:x@db.internal/orders')).toThrow('sslmode')
  expect(() => upstreams('postgres://app:x@127.0.0.1.example.com/orders')).toThrow('sslmode')
  expect(() => upstreams('postgres://app:x@127.0.0.1/orders?host=db.internal')).toThrow('sslmode')
  expect(() => upstreams('postgres://app:x@db.internal/orders?sslmode=disable')).not.toThrow()
})

test('a wrong password, a weak method, a dead port: an error with no secret in it', async () => {
  const wrong = await open(server.url().replace('test-superuser', 'hunter2')).then(String, (error: unknown) => error)
  expect(wrong).toMatchObject({ code: 'upstream_unavailable', message: expect.stringContaining('28P01') })
  expect(JSON.stringify(wrong) + String(wrong)).not.toContain('hunter2')
  await expect(open('postgres://postgres:x@127.0.0.1:1/postgres')).rejects.toMatchObject({ code: 'upstream_unavailable' })
  expect(() => upstreams('mysql://hunter2@x')).toThrow(/^(?!.*hunter2)/)
})

test('read-only is told to the server too; an unknown upstream says nothing of others', async () => {
  const backend = await open(server.url(), true)
  expect(await server.query("select 1 from pg_stat_activity where application_name = 'x'")).toHaveLength(1)
  expect(new Map(backend.parameters).get('default_transaction_read_only') ?? 'on').toBe('on')
  backend.destroy()
  await expect(
    upstreams(server.url()).open('elsewhere', {
      session,
      settings: new Map(),
      readOnly: false,
      signal: new AbortController().signal,
    }),
  ).rejects.toMatchObject({ code: 'not_in_scope' })
})

const sql = (access: Access): Extract<Access, { kind: 'sql' }> => {
  if (access.kind === 'sql') return access
  throw new Error('no SQL access')
}

async function* pieces(list: readonly string[], fail = false): AsyncIterable<Uint8Array> {
  for (const piece of list) {
    await Promise.resolve()
    yield Buffer.from(piece)
  }
  if (fail) throw new Error('the vault broke')
}

test('the protect channel: values, COPY both ways, one transaction a request, usable after errors', async () => {
  const reached = await upstreams(server.url()).openProtected('orders')
  const { protect } = sql(reached.upstream.access)
  expect(reached.upstream.identity).toMatch(/^\d+:\d+$/)
  await protect.query('create table p (a int, b text)')
  expect(await protect.copyIn('copy p from stdin', pieces(['1\tx\n', '2\t', 'y\n']))).toBe(2)
  expect(await protect.query('select b from p where a = $1 or $2::text is null', ['2', ''])).toEqual([['y']])
  const chunks: Buffer[] = []
  for await (const chunk of protect.copyOut('copy (select * from p order by a) to stdout')) chunks.push(Buffer.from(chunk))
  expect(Buffer.concat(chunks).toString()).toBe('1\tx\n2\ty\n')
  let seen = 0
  for await (const chunk of protect.copyOut("copy (select repeat('z', 1000) from generate_series(1, 20000)) to stdout")) {
    seen += chunk.length
    if (seen > 5_000) break
  }
  expect(await protect.query('select count(*) from p')).toEqual([['2']])
  await reached.end(true)
  await expect(protect.query('select nothing from p')).rejects.toMatchObject({
    code: 'upstream_failed',
    message: expect.stringContaining('42703'),
  })
  await reached.end(false)
  await expect(protect.copyIn('copy p from stdin', pieces(['3\tz\n'], true))).rejects.toThrow('the vault broke')
  await reached.end(false)
  await expect(protect.copyIn('copy p from stdin', pieces(['not a number\n']))).rejects.toMatchObject({ code: 'upstream_failed' })
  await reached.end(false)
  await expect(protect.copyIn('copy nowhere from stdin', pieces(['1\n']))).rejects.toMatchObject({ code: 'upstream_failed' })
  await reached.end(false)
  expect(await server.query('select a from p order by a')).toEqual([{ a: 1 }, { a: 2 }])
  reached.close()
  await expect(protect.query('select 1')).rejects.toMatchObject({ code: 'upstream_unavailable' })
})

test('a large COPY OUT to a consumer that waits keeps little', async () => {
  const reached = await upstreams(server.url()).openProtected('orders')
  const before = process.memoryUsage().arrayBuffers
  const { protect } = sql(reached.upstream.access)
  const iterable = protect.copyOut("copy (select repeat('x', 1000) from generate_series(1, 60000)) to stdout")
  const copy = iterable[Symbol.asyncIterator]()
  const first = await copy.next()
  let bytes = first.done === true ? 0 : first.value.length
  let blocked: unknown[] = []
  while (blocked.length === 0)
    blocked = [
      ...(await server.query(
        "select 1 from pg_stat_activity where application_name = 'sallyport protect' and wait_event = 'ClientWrite'",
      )),
    ]
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024)
  for (;;) {
    const next = await copy.next()
    if (next.done === true) break
    bytes += next.value.length
  }
  expect(bytes).toBe(60_000 * 1_001)
  await reached.end(false)
  reached.close()
})
