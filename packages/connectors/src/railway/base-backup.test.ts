import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SallyportError, type HttpAccess, type Operation, type SqlAccess, type Upstream } from '@sallyport/core'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { findProcessesOf } from '../../../../tests/fakes/own-processes.ts'
import { MemorySeal } from '../../../../tests/fakes/memory-seal.ts'
import { openAccess, PgChannel, type RealAccess } from '../../../../tests/fakes/sql-access.ts'
import { startPostgres, type PostgresServer } from '../../../../tests/servers/postgres.ts'
import pg from 'pg'
import { resolve } from './resolve.ts'
import { restoreVolumes } from './restore.ts'
import { snapshot } from './snapshot.ts'
import { inDepth } from '../../../../tests/breadth.ts'

const volume = '4e1a3b6c-3df2-4f0f-9d0f-0d6f4a1f1f11'
const deletion: Operation = {
  action: 'railway.volumeDelete',
  resources: [{ type: 'volume', name: volume }],
  impact: { kind: 'destroy', reversible: false },
  why: 'deletes a volume',
  context: {},
}

// A place of its own: what other tests leave in the machine's, and take away again, is looked at by none here.
const temporary = mkdtempSync(join(tmpdir(), 'sallyport-base-'))
// PostgreSQL's user must get into it.
chmodSync(temporary, 0o711)
process.env['TMPDIR'] = temporary

let server: PostgresServer
let access: RealAccess
let folders: string

beforeAll(async () => {
  folders = mkdtempSync(join(tmpdir(), 'sallyport-base-backup-test-'))
  // PostgreSQL's user must get to what is put back in it.
  chmodSync(folders, 0o711)
  server = await startPostgres(['max_prepared_transactions=4'])
  await server.query('CREATE DATABASE shop')
  const make = `CREATE SCHEMA "Odd ""name";
    CREATE TABLE orders (id bigint PRIMARY KEY, note text, total numeric(12, 2), at timestamptz, tags text[], body jsonb);
    INSERT INTO orders SELECT i, 'note ' || i, i * 1.10, '2026-01-01'::timestamptz + i * interval '1 minute', ARRAY['a', i::text], jsonb_build_object('n', i) FROM generate_series(1, 20000) i;
    CREATE TABLE "Odd ""name"."Table two" ("Column 1" int, "select" bytea);
    INSERT INTO "Odd ""name"."Table two" SELECT i, sha256(i::text::bytea) FROM generate_series(1, 500) i;
    CREATE TABLE events (id int, at date) PARTITION BY RANGE (at);
    CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    INSERT INTO events SELECT i, '2026-02-01' FROM generate_series(1, 300) i;
    CREATE TABLE nothing (); CREATE TABLE empty (id int);
    CREATE MATERIALIZED VIEW totals AS SELECT sum(total) AS total FROM orders;
    CREATE ROLE keeper LOGIN REPLICATION PASSWORD 'keeper-password'; GRANT pg_read_all_data, pg_write_all_data TO keeper;
    CREATE ROLE reader LOGIN PASSWORD 'reader-password'; GRANT pg_read_all_data TO reader`
  await server.query(make, [], 'shop')
})
beforeEach(async () => {
  access = await openAccess(server.url('shop'), protectUrl('keeper'))
})
afterAll(async () => {
  await server.stop()
  rmSync(temporary, { recursive: true, force: true })
})

const protectUrl = (role: string): string => `postgres://${role}:${role}-password@127.0.0.1:${server.port}/shop`
const dataRows = 20_000 + 500 + 300 + 1

/** BASE_BACKUP by PostgreSQL's own client, so that this package's tests need nothing of the gate's. */
async function* baseBackup(): AsyncIterable<Uint8Array> {
  const tar = execFileSync(
    '/usr/bin/pg_basebackup',
    [
      '-h',
      '127.0.0.1',
      '-p',
      String(server.port),
      '-U',
      'keeper',
      '-D',
      '-',
      '-Ft',
      '-X',
      'fetch',
      '-c',
      'fast',
      '--no-manifest',
    ],
    { env: { PGPASSWORD: 'keeper-password', PATH: '/usr/bin:/bin' }, maxBuffer: 2 ** 30 },
  )
  for (let at = 0; at < tar.length; at += 100_000) yield tar.subarray(at, at + 100_000)
}

function tie(sql: SqlAccess, changes: Partial<SqlAccess> = {}): Upstream {
  const tied: Upstream = {
    name: 'production',
    identity: '7:1',
    environment: 'production',
    access: { ...sql, baseBackup, ...changes },
  }
  const http: HttpAccess = {
    kind: 'http',
    ask: async () => ({ status: 401, body: Buffer.from('{"errors":[{"message":"Not Authorized"}]}') }),
    tied: async (type, id) => (type === 'volume' && id === volume ? tied : null),
  }
  return { name: 'railway', identity: 'account', environment: 'production', access: http }
}

function sqlOf({ upstream }: RealAccess): SqlAccess {
  if (upstream.access.kind !== 'sql') throw new Error('not a SQL access')
  return upstream.access
}

const scratchFolders = (): readonly string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('sallyport-scratch-'))

describe('resolve', () => {
  test('says what lies on the volume, and that even a copy leaves it irreversible', async () => {
    const [resolved] = await resolve([deletion], tie(sqlOf(access)))
    expect(resolved).toMatchObject({
      impact: { kind: 'destroy', reversible: false, scope: { rows: dataRows, exact: true } },
      copy: { kind: 'tables' },
      context: { irreversibleDespiteCopy: true },
      resources: [{ type: 'volume', identity: volume, name: volume }],
    })
    expect(resolved?.why).toContain(
      `this volume carries production's database shop ("production"), ${dataRows.toLocaleString('en-US')} rows`,
    )
    expect(resolved?.impact.scope?.tables).toContain('"Odd ""name"."Table two"')
    expect(resolved?.impact.scope?.tables).toContain('public.events_2026')
  })

  test('a volume that is tied to nothing, or named twice or not at all, can not be copied', async () => {
    const other = { ...deletion, resources: [{ type: 'volume', name: 'other' }] }
    const twice = { ...deletion, resources: [...deletion.resources, { type: 'volume', name: 'other' }] }
    const none = { ...deletion, resources: [] }
    const hostile = { ...deletion, resources: [{ type: 'volume', name: '../../etc' }] }
    for (const operation of [other, twice, none, hostile]) {
      const [resolved] = await resolve([operation], tie(sqlOf(access)))
      expect(resolved).toMatchObject({ copy: { kind: 'impossible' }, context: { irreversibleDespiteCopy: true } })
    }
  })

  test('an impact that somebody described as mild is not believed', async () => {
    const mild: Operation = { ...deletion, impact: { kind: 'read', reversible: true } }
    const [resolved] = await resolve([mild], tie(sqlOf(access)))
    expect(resolved?.impact).toMatchObject({ kind: 'destroy', reversible: false })
  })

  test('unlogged tables, a role that may not replicate, no way to take a backup: impossible, with what to do', async () => {
    const http = tie(sqlOf(access))
    if (http.access.kind !== 'http') throw new Error('not HTTP')
    const noWay: Upstream = { name: 'production', identity: '7:1', environment: 'production', access: sqlOf(access) }
    const [first] = await resolve([deletion], { ...http, access: { ...http.access, tied: async () => noWay } })
    expect(first?.copy).toMatchObject({ kind: 'impossible', reason: expect.stringContaining('base backup') })
    await server.query('CREATE UNLOGGED TABLE sessions AS SELECT 1 AS id', [], 'shop')
    const [second] = await resolve([deletion], tie(sqlOf(access)))
    await server.query('DROP TABLE sessions', [], 'shop')
    expect(second?.copy).toMatchObject({ kind: 'impossible', reason: expect.stringContaining('public.sessions') })
    const reader = await openAccess(server.url('shop'), protectUrl('reader'))
    const [third] = await resolve([deletion], tie(sqlOf(reader)))
    await reader[Symbol.asyncDispose]()
    expect(third?.copy).toMatchObject({ kind: 'impossible', reason: expect.stringContaining('may not replicate') })
  })
})

describe('snapshot', () => {
  async function copy(seal: MemorySeal, changes: Partial<SqlAccess> = {}): ReturnType<typeof snapshot> {
    const upstream = tie(sqlOf(access), changes)
    const resolved = await resolve([deletion], upstream)
    return snapshot(resolved, upstream, seal)
  }

  test('the whole server is sealed, started and compared; writers wait until the way in is ended; nothing stays behind', async () => {
    const before = scratchFolders()
    const seal = new MemorySeal()
    const content = await copy(seal)
    expect(content).toMatchObject({ kind: 'tables', rows: dataRows })
    expect(Object.keys(content.checksums)).toHaveLength(6)
    expect(new Set(Object.values(content.checksums)).size).toBe(5)
    expect(seal.parts.get(`volumes/${volume}/base.tar`)?.length).toBe(content.bytes)
    expect(scratchFolders()).toEqual(before)
    const writer = new pg.Client({ connectionString: server.url('shop') })
    await writer.connect()
    await writer.query(`SET lock_timeout = '100ms'`)
    await expect(writer.query(`INSERT INTO orders (id) VALUES (-1)`)).rejects.toThrow('lock timeout')
    await access.protect.query('ROLLBACK')
    await writer.query('BEGIN; INSERT INTO orders (id) VALUES (-1); ROLLBACK')
    await writer.end()
    const restored = await restoreVolumes(seal.reader(content), join(folders, 'restored'), () => undefined)
    expect(restored).toMatchObject({ rows: dataRows, verified: true })
    expect(existsSync(join(folders, 'restored', 'volume-1', 'data', 'postgresql.auto.conf'))).toBe(true)
    expect(readdirSync(join(folders, 'restored', 'volume-1'))).toEqual(['data'])
    expect(findProcessesOf(join(folders, 'restored'))).toEqual([])
  })

  test('one changed byte of a row in what the vault gives back, and there is no copy', async () => {
    const seal = new MemorySeal()
    seal.tamper = (_, bytes) => {
      const changed = Buffer.from(bytes)
      const at = changed.indexOf('note 19999')
      changed.write('note 29999', at)
      return changed
    }
    await expect(copy(seal)).rejects.toMatchObject({
      code: 'copy_failed',
      message: expect.stringContaining('table public.orders has other rows'),
    })
    expect(scratchFolders()).toEqual([])
  })

  test('a type that runs a function of the database’s own when it is read: no copy, and the function does not run', async () => {
    await server.query(
      `CREATE TYPE spy; CREATE FUNCTION spy_in(cstring) RETURNS spy LANGUAGE internal IMMUTABLE STRICT AS 'textin';
       CREATE FUNCTION spy_out(spy) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
       CREATE TYPE spy (INPUT = spy_in, OUTPUT = spy_out, LIKE = text);
       CREATE FUNCTION spy_send(spy) RETURNS bytea LANGUAGE sql AS $$ SELECT 'seen'::bytea $$;
       ALTER TYPE spy SET (SEND = spy_send);
       CREATE TABLE spied (it spy); INSERT INTO spied VALUES ('x')`,
      [],
      'shop',
    )
    await expect(copy(new MemorySeal())).rejects.toMatchObject({ message: expect.stringContaining('type public.spy runs code') })
    await server.query('DROP TYPE spy CASCADE; DROP TABLE spied', [], 'shop')
  })

  test.each(inDepth('a copy cut short, an empty one, one of another server: no copy, and no process or folder stays'))(
    '%s',
    async () => {
      for (const tamper of [
        (bytes: Buffer) => bytes.subarray(0, bytes.length / 2),
        (bytes: Buffer) => bytes.subarray(0, 0),
        (bytes: Buffer) => Buffer.concat([bytes, Buffer.from('more')]),
      ]) {
        const seal = new MemorySeal()
        seal.tamper = (_, bytes) => tamper(bytes)
        await expect(copy(seal)).rejects.toBeInstanceOf(SallyportError)
      }
      const other = await startPostgres()
      try {
        async function* backupOfAnother(): AsyncIterable<Uint8Array> {
          yield execFileSync(
            '/usr/bin/pg_basebackup',
            ['-d', other.url(), '-D', '-', '-Ft', '-X', 'fetch', '-c', 'fast', '--no-manifest'],
            { maxBuffer: 2 ** 30 },
          )
        }
        await expect(copy(new MemorySeal(), { baseBackup: backupOfAnother })).rejects.toMatchObject({ code: 'copy_failed' })
      } finally {
        await other.stop()
      }
      expect(scratchFolders()).toEqual([])
      expect(findProcessesOf(join(temporary, 'sallyport-scratch-'))).toEqual([])
    },
  )

  test('a table that is made while the copy runs makes it no copy', async () => {
    async function* later(): AsyncIterable<Uint8Array> {
      yield* baseBackup()
      await server.query('CREATE TABLE late (id int)', [], 'shop')
    }
    await expect(copy(new MemorySeal(), { baseBackup: later })).rejects.toMatchObject({ code: 'copy_failed' })
    await server.query('DROP TABLE late', [], 'shop')
  })

  test.each(inDepth('writers that do not leave: no copy, and no lock stays'))('%s', async () => {
    const writer = new PgChannel(new pg.Client({ connectionString: server.url('shop') }))
    await writer.client.connect()
    await writer.query('BEGIN')
    await writer.query('UPDATE orders SET note = note WHERE id = 1')
    await expect(copy(new MemorySeal())).rejects.toMatchObject({
      code: 'copy_failed',
      message: expect.stringContaining('locked out'),
    })
    await writer.query('ROLLBACK')
    await writer.client.end()
    const locks = await server.query(`SELECT count(*)::int AS locks FROM pg_locks WHERE mode = 'ShareLock'`, [], 'shop')
    expect(locks).toEqual([{ locks: 0 }])
  })

  test('code that the database would run at its start or at a log-in does not run in the scratch server', async () => {
    const seal = new MemorySeal()
    const upstream = tie(sqlOf(access))
    const resolved = await resolve([deletion], upstream)
    for (const setting of [
      `archive_mode = 'on'`,
      `archive_command = 'touch ${join(folders, 'ran')}'`,
      `shared_preload_libraries = 'no_such_library'`,
    ])
      await server.query(`ALTER SYSTEM SET ${setting}`)
    await server.query(`ALTER DATABASE shop SET session_preload_libraries = 'no_such_library'`)
    const content = await snapshot(resolved, upstream, seal)
    await server.query('ALTER SYSTEM RESET ALL')
    await server.query('ALTER DATABASE shop RESET ALL')
    expect(content.rows).toBe(dataRows)
    expect(existsSync(join(folders, 'ran'))).toBe(false)
  })
})

describe('sums', () => {
  test('of a table whose hashes fit in one value and in many: each tells every row from every other, and one from two', async () => {
    const { sumTable } = await import('./base-backup-tables.ts')
    const ask = async (sql: string): Promise<readonly (readonly (string | null)[])[]> => access.protect.query(sql)
    await server.query(
      `CREATE TABLE measured (a int, b text); INSERT INTO measured VALUES (1, 'x'), (1, 'x'), (2, NULL)`,
      [],
      'shop',
    )
    const sums = new Set<string>()
    const note = async (sql: string): Promise<void> => {
      await server.query(sql, [], 'shop')
      for (const large of [false, true]) {
        const { sha256 } = await sumTable(ask, { label: 'public.measured', columns: ['a', 'b'], lockable: true, large })
        sums.add(`${large} ${sha256}`)
      }
    }
    const changes = [
      'SELECT 1',
      `UPDATE measured SET a = 3 WHERE a = 2`,
      `DELETE FROM measured WHERE a = 3`,
      `DELETE FROM measured WHERE ctid = (SELECT max(ctid) FROM measured)`,
      `INSERT INTO measured VALUES (1, 'x'), (1, 'x')`,
      `UPDATE measured SET b = '' WHERE ctid = (SELECT max(ctid) FROM measured)`,
      'TRUNCATE measured',
    ]
    for (const change of changes) await note(change)
    expect(sums.size).toBe(changes.length * 2)
    await server.query(`INSERT INTO measured SELECT i, i FROM generate_series(1, 5000) i`, [], 'shop')
    const table = { label: 'public.measured', columns: ['a', 'b'], lockable: true, large: true }
    const first = await sumTable(ask, table)
    await server.query(`CREATE TABLE other AS SELECT * FROM measured ORDER BY random()`, [], 'shop')
    expect(await sumTable(ask, { ...table, label: 'public.other' })).toEqual(first)
    expect(first.rows).toBe(5000)
    await server.query('DROP TABLE measured, other', [], 'shop')
  })
})
