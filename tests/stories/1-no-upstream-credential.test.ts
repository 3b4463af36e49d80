import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { writeRun } from '../../packages/cli/src/state-directory.ts'
import type { HttpPerson } from '../fakes/http-person.ts'
import { requireRoot } from '../fakes/own-processes.ts'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { findFreePort, startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { kindsAsked, patience, waits } from './evidence.ts'
import { openPsql, type Psql } from './psql.ts'
import { findSecrets, formsOf } from './secrets.ts'
import { openTap, type Tap } from './tap.ts'
import { findProgram } from '../fakes/programs.ts'
import { casesOf } from '../breadth.ts'

vi.setConfig(patience)

const cli = findProgram('cli')
let postgres: PostgresServer
let gate: TestGate
let tap: Tap
let ada: HttpPerson
let coder: Psql

/** With characters that every encoding changes. */
const passwordOf = {
  use: `u$e/${randomBytes(9).toString('base64')}&%"`,
  protect: `prot+ect/${randomBytes(9).toString('base64')}?#'`,
}
const forms = [...formsOf(passwordOf.use, 'app_use'), ...formsOf(passwordOf.protect, 'app_protect')]

/** A secret of the agent's own, in a statement: no credential of ours, and all the same nothing for a log. */
const chosen = `chosen-${randomBytes(9).toString('hex')}`

/** Another user of this machine, as an agent of isolation level 2 is. */
const nobody = (): { uid: number; gid: number } => ({
  uid: Number(execFileSync('id', ['-u', 'nobody']).toString()),
  gid: Number(execFileSync('id', ['-g', 'nobody']).toString()),
})

beforeAll(async () => {
  requireRoot()
  postgres = await startPostgres()
  gate = await startGate({
    postgres,
    wait: '0ms',
    agents: { coder: { owner: 'ada', may: ['any orders-db', 'any gone-db', 'any wrong-db', 'any lost-db'] } },
    upstreams: { 'orders-db': {}, 'gone-db': { port: await findFreePort() }, 'wrong-db': {}, 'lost-db': {} },
  })
  await arrange(
    postgres,
    'CREATE TABLE notes (id int PRIMARY KEY, body text); INSERT INTO notes SELECT n, md5(n::text) FROM generate_series(1, 50) n',
  )
  // So that only the gate stands before them: the server itself would let this role read all.
  await postgres.query('GRANT SELECT ON pg_authid, pg_shadow, pg_user_mapping, pg_subscription TO app_use')
  await postgres.query('GRANT pg_read_all_settings, pg_read_server_files, pg_monitor TO app_use')
  await takeOtherPasswords()
  ada = await gate.person('ada')
  tap = await openTap(gate.port)
  coder = await openPsql(gate, 'coder', { port: tap.port, user: nobody() })
})

afterAll(async () => {
  await tap?.close()
  await gate?.stop()
  await postgres?.stop()
})

/** Passwords that nothing else in this story could hold, and an upstream whose password is wrong. */
async function takeOtherPasswords(): Promise<void> {
  for (const role of ['use', 'protect'] as const) {
    await postgres.query(`ALTER ROLE app_${role} PASSWORD '${passwordOf[role].replaceAll("'", "''")}'`)
    const secret = encodeURIComponent(passwordOf[role])
    for (const name of ['orders-db', 'gone-db', 'wrong-db', 'lost-db']) {
      const path = join(gate.directory, 'secrets', `${name}.${role}`)
      const url = readFileSync(path, 'utf8').replace(/:[^:@/]*@/, `:${name === 'wrong-db' ? `${secret}x` : secret}@`)
      writeFileSync(path, name === 'lost-db' ? url.replace('/postgres?', '/no_such_database?') : url)
    }
  }
  await gate.halt()
  await gate.start()
}

/** The gate and the vault are at work: a file may have been renamed since it was listed. */
function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch {
    return Buffer.alloc(0)
  }
}

const gone = (place: string, bytes: Uint8Array | string): void => expect(findSecrets(bytes, forms), place).toEqual([])

describe('Promise 1, at isolation level 2: Sallyport never gives an agent an upstream credential', () => {
  it('and it would be seen if it did, in whatever form', () => {
    for (const secret of Object.values(passwordOf)) {
      const url = `postgres://app_use:${secret}@127.0.0.1/x`
      for (const said of [url, encodeURIComponent(url), Buffer.from(url).toString('hex'), JSON.stringify({ url })])
        expect(findSecrets(said, forms)).not.toEqual([])
      for (const before of ['', 'a', 'ab'])
        expect(findSecrets(Buffer.from(`${before}${url}`).toString('base64'), forms)).not.toEqual([])
    }
    expect(findSecrets(`SELECT md5(random()::text), 'app_use'`, forms)).toEqual([])
  })

  it('not in an answer, an error, a notice or a setting: every byte of an inquisitive session', async () => {
    const asked = [
      'SHOW ALL',
      'SELECT * FROM pg_settings',
      'SELECT * FROM pg_stat_activity',
      'SELECT * FROM pg_stat_get_activity(NULL)',
      'SELECT * FROM pg_stat_replication',
      'SELECT current_user, session_user, current_query(), inet_server_addr(), inet_server_port(), version()',
      'SELECT * FROM pg_roles',
      'SELECT * FROM pg_user',
      'SELECT * FROM pg_db_role_setting',
      'SELECT * FROM pg_foreign_server',
      'SELECT * FROM information_schema.enabled_roles',
      'SELECT 1/0',
      'SELECT no_such_column FROM notes',
      'SELEC 1',
      "SELECT 'x'::int",
      'COPY notes TO STDOUT',
      'INSERT INTO notes VALUES (1)',
      "DO $$ BEGIN RAISE NOTICE '%', current_setting('primary_conninfo', true); END $$",
      'RESET ALL',
      'DISCARD ALL',
    ]
    for (const sql of casesOf(asked, 12)) gone(sql, (await coder.run(sql)).said)
    for (const database of ['gone-db', 'wrong-db', 'lost-db', 'no-such-db', 'postgres', '']) {
      const ran = await coder.run('SELECT 1', { PGDATABASE: database })
      expect(ran.sqlState, database).not.toBe('00000')
      gone(`upstream ${database}`, ran.said)
    }
    for (const options of [
      '-c role=app_protect',
      '-c session_authorization=app_protect',
      '-c password=x',
      '-c client_encoding=LATIN1',
    ]) {
      expect(await coder.run('SELECT 1', { PGOPTIONS: options })).not.toMatchObject({ sqlState: '00000' })
    }
    expect(tap.heard().length).toBeGreaterThan(20_000)
    gone('everything on the wire', tap.heard())
  })

  it('what would answer with secrets is escalate, and waits for a person', async () => {
    const asked = [
      'SELECT rolpassword FROM pg_authid',
      'SELECT * FROM pg_catalog.pg_authid',
      'TABLE pg_shadow',
      'SELECT passwd FROM "pg_catalog"."pg_shadow"',
      'WITH a AS (SELECT * FROM pg_authid) SELECT count(*) FROM a',
      "SELECT (SELECT string_agg(rolpassword, ',') FROM pg_authid)",
      'COPY pg_authid TO STDOUT',
      'COPY (SELECT * FROM pg_authid) TO STDOUT',
      "SELECT query_to_xml('SELECT * FROM pg_authid', true, false, '')",
      "SELECT table_to_xml('pg_authid', true, false, '')",
      "SELECT * FROM ts_stat('SELECT to_tsvector(rolpassword) FROM pg_authid')",
      'BEGIN; DECLARE c CURSOR FOR SELECT * FROM pg_authid; FETCH ALL FROM c; COMMIT',
      'PREPARE p AS SELECT * FROM pg_authid; EXECUTE p',
      'CREATE TABLE copied AS SELECT * FROM pg_authid',
      'CREATE VIEW roles AS SELECT * FROM pg_authid',
      'INSERT INTO notes SELECT oid::int, rolpassword FROM pg_authid',
      'SELECT * FROM pg_user_mapping',
      'SELECT * FROM pg_user_mappings',
      'SELECT subconninfo FROM pg_subscription',
      'SELECT * FROM pg_hba_file_rules',
      'SHOW primary_conninfo',
      "SELECT pg_read_file('pg_hba.conf')",
      "SELECT pg_read_binary_file('global/1260')",
      "COPY notes FROM '/etc/passwd'",
      "SELECT lo_import('/etc/passwd')",
      `ALTER ROLE app_use PASSWORD '${chosen}'`,
      `CREATE ROLE thief LOGIN PASSWORD '${chosen}'`,
      'SET ROLE app_protect',
      'CREATE EXTENSION dblink',
    ]
    for (const sql of casesOf(asked, 15)) {
      const kinds = await kindsAsked(gate, sql, await coder.run(sql))
      if (kinds.length > 0) expect(kinds, sql).toContain('escalate')
    }
    expect(await coder.run('SELECT rolpassword FROM pg_authid WHERE true')).toMatchObject({ sqlState: waits, rows: [] })
    // Neither password nor any verifier of one went over the wire.
    expect(tap.heard().includes('SCRAM-SHA-256$')).toBe(false)
    gone('everything on the wire', tap.heard())
  })

  it('not in the environment that `sallyport run` makes, even when the person had it in theirs', async () => {
    const run = {
      controlUrl: gate.controlUrl,
      postgresAddress: `${gate.host}:${gate.port}`,
      cliPid: process.pid,
      gatewayPid: gate.process.pid,
      vaultPid: gate.vault.pid,
    }
    writeRun(gate.directory, { ...run, configuration: gate.configuration, startedAtMs: Date.now() })
    const url = readFileSync(join(gate.directory, 'secrets', 'orders-db.use'), 'utf8').trim()
    const inherited = {
      PATH: process.env['PATH'] ?? '',
      DATABASE_URL: url,
      MY_DB: url,
      PGPASSWORD: passwordOf.use,
      OLD: `x${passwordOf.protect}x`,
      PGPASSFILE: '/x',
    }
    const words = [
      cli,
      'run',
      '--agent',
      'coder',
      '--upstream',
      'orders-db',
      '--state',
      gate.directory,
      '--',
      'sh',
      '-c',
      'env; psql -Atc "SELECT count(*) FROM notes"',
    ]
    const said = await new Promise<{ out: string; all: string }>((resolve, reject) => {
      execFile(process.execPath, words, { env: inherited }, (error, out, errors) =>
        error === null ? resolve({ out, all: `${out}${errors}` }) : reject(new Error(errors)),
      )
    })
    gone('sallyport run', said.all)
    expect(said.out).toContain('SALLYPORT_AGENT=coder')
    expect(said.out.trim().endsWith('\n50')).toBe(true)
  })

  it('not in what the gate shows or writes down: pages, API, log, store, its own messages', async () => {
    for (const path of ['/', '/requests', '/live', '/people']) gone(path, await ada.read(path))
    for (const path of ['requests', 'sessions', 'kills', 'snapshots', 'status'])
      gone(path, JSON.stringify(await gate.get(`/api/v1/${path}`, z.unknown())))
    for (const { id } of (await gate.get('/api/v1/requests', z.object({ requests: z.array(z.object({ id: z.string() })) })))
      .requests) {
      gone(`request ${id}`, JSON.stringify(await gate.get(`/api/v1/requests/${id}`, z.unknown())))
      gone(`page of request ${id}`, await ada.read(`/requests/${id}`))
    }
    const files = readdirSync(gate.directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    const read = files
      .filter(({ parentPath }) => parentPath !== join(gate.directory, 'secrets'))
      .map(({ parentPath, name }) => join(parentPath, name))
    expect(read.some((path) => path.endsWith('store.db'))).toBe(true)
    for (const path of read) gone(path, readIfThere(path))
    const log = JSON.stringify(gate.events())
    expect(log).toContain('session.opened')
    // What the agent chose as a password, and the handle it came with, are secrets too.
    expect(findSecrets(log, [chosen, coder.handle])).toEqual([])
  })

  it('and as another user an agent can open none of the files that hold one, nor see one among the processes', async () => {
    const { uid, gid } = nobody()
    for (const { parentPath, name } of readdirSync(gate.directory, { recursive: true, withFileTypes: true })) {
      // The gate's own authority, which agents are to trust, is for everybody; its key is not.
      if (name === 'ca.pem') continue
      expect((lstatSync(join(parentPath, name), { throwIfNoEntry: false })?.mode ?? 0) & 0o077, name).toBe(0)
    }
    const read = `cat ${gate.directory}/secrets/* ${gate.directory}/operator.token ${gate.directory}/store.db /proc/${gate.process.pid}/environ /proc/${gate.process.pid}/mem; ls ${gate.directory}`
    const seen = await new Promise<string>((resolve) => {
      execFile(
        'sh',
        ['-c', `${read}; cat /proc/[0-9]*/cmdline; ps axeww`],
        { uid, gid, encoding: 'latin1', maxBuffer: 64 << 20 },
        (_error, out, errors) => resolve(`${out}${errors}`),
      )
    })
    expect(seen.match(/Permission denied/g)?.length).toBeGreaterThanOrEqual(5)
    gone('what another user sees', seen)
    const operator = readFileSync(join(gate.directory, 'operator.token'), 'utf8')
    expect(findSecrets(seen, [operator, coder.handle])).toEqual([])
  })
})
