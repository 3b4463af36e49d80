import { execFile } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import {
  frame,
  int16,
  int32,
  readErrorFields,
  startupMessage,
  zeroTerminated,
} from '../../packages/gateway/src/protocols/postgres/wire.ts'
import { functionCall, RawClient } from '../fakes/postgres-client.ts'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { cancel, checksums, eventsOf, kindsAsked, patience, readRequest, textOf, waits } from './evidence.ts'
import { openPsql, type Psql } from './psql.ts'
import { casesOf } from '../breadth.ts'
import { findProgram } from '../fakes/programs.ts'

vi.setConfig(patience)

const cli = findProgram('cli')
let postgres: PostgresServer
let gate: TestGate
let coder: Psql
let staging: Psql
let before: Readonly<Record<string, string>>

/** The same, in words that look like reading: what they mean only the catalog says, and the gate asks it. */
const disguised = [
  'SELECT * FROM nice',
  'TABLE nice',
  'SELECT o.wiper FROM others o',
  'SELECT upper(name) FROM others',
  'SELECT 1 <<< 2',
  'SELECT id FROM others ORDER BY id <<< 1',
]

/** Every one of these would empty the canary, if it ran. */
const unread = [
  'SELECT wipe()',
  'SELECT public.wipe()',
  'SELECT "wipe"()',
  'SELECT U&"\\0077ipe"()',
  'SELECT/**/wipe\n(\n)',
  'SELECT * FROM wipe()',
  'SELECT 1 FROM canary, LATERAL wipe() w',
  'SELECT 1 WHERE wipe() > 0',
  'SELECT id FROM canary ORDER BY wipe()',
  'SELECT count(*) FILTER (WHERE wipe() > 0) FROM canary',
  'SELECT CASE WHEN true THEN wipe() END',
  'WITH w AS (SELECT wipe()) SELECT 1 FROM w',
  'VALUES (wipe())',
  'SELECT 1; SELECT wipe()',
  'EXPLAIN ANALYZE SELECT wipe()',
  'COPY (SELECT wipe()) TO STDOUT',
  'SELECT 1 OPERATOR(public.<<<) 2',
  "SELECT query_to_xml('SELECT wi' || 'pe()', true, false, '')",
  'CALL wipe_all()',
  "DO $$ BEGIN EXECUTE 'DELETE ' || 'FROM canary'; END $$",
  "DO LANGUAGE plpgsql $a$ BEGIN EXECUTE replace('DELXTE FROM canary', 'X', 'E'); END $a$",
  'DO $$ BEGIN PERFORM wipe(); END $$',
  'PREPARE p AS SELECT wipe(); EXECUTE p',
  'PREPARE p AS DELETE FROM canary; EXECUTE p',
  "SELECT set_config('role', 'none', false), wipe()",
  'BEGIN; SAVEPOINT s; SELECT wipe(); COMMIT',
  'DELETE FROM canary; SELEC',
  'SELECT wipe() FROM',
  `SELECT ${'('.repeat(20_000)}wipe()${')'.repeat(20_000)}`,
  `SELECT wipe()${' + 1'.repeat(40_000)}`,
  `${'SELECT 1;'.repeat(5_000)} DELETE FROM canary`,
  `/*${'/*'.repeat(9_000)}${'*/'.repeat(9_000)}*/ SELECT wipe()`,
  `SELECT ${'ARRAY['.repeat(3_000)}wipe()${']'.repeat(3_000)}`,
]

beforeAll(async () => {
  postgres = await startPostgres()
  await postgres.query('CREATE DATABASE stage')
  gate = await startGate({
    postgres,
    wait: '0ms',
    agents: { coder: { owner: 'ada', may: ['any orders-db', 'any stage-db'] } },
    upstreams: { 'orders-db': {}, 'stage-db': { database: 'stage', environment: 'staging' } },
  })
  for (const database of ['postgres', 'stage']) {
    await arrange(
      postgres,
      `CREATE TABLE canary (id int PRIMARY KEY, body text);
       CREATE FUNCTION wipe() RETURNS bigint LANGUAGE sql AS 'WITH gone AS (DELETE FROM canary RETURNING 1) SELECT count(*) FROM gone';
       CREATE FUNCTION wipe_two(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT wipe() >= 0';
       CREATE OPERATOR public.<<< (leftarg = int, rightarg = int, procedure = wipe_two);
       CREATE TABLE others (id int PRIMARY KEY, name varchar);
       INSERT INTO others VALUES (1, 'x');
       CREATE VIEW nice AS SELECT wipe() AS wiped;
       CREATE FUNCTION wiper(others) RETURNS bigint LANGUAGE sql AS 'SELECT wipe()';
       CREATE FUNCTION upper(varchar) RETURNS text LANGUAGE sql AS 'SELECT wipe()::text';
       CREATE PROCEDURE wipe_all() LANGUAGE sql AS 'DELETE FROM canary';
       INSERT INTO canary SELECT n, 'bird ' || n FROM generate_series(1, 30) n`,
      database,
    )
  }
  before = await checksums(postgres, ['canary'])
  coder = await openPsql(gate, 'coder')
  staging = await openPsql(gate, 'coder', { database: 'stage-db' })
})

afterAll(async () => {
  await gate?.stop()
  await postgres?.stop()
})

/** A client whose bytes are exactly what we say. */
function openRaw(parameters: readonly (readonly [string, string])[] = []): Promise<RawClient> {
  return RawClient.open(gate.port, 'coder', coder.handle, 'orders-db', parameters)
}

const query = (bytes: Uint8Array | string): Buffer => frame(0x51, Buffer.from(bytes), Buffer.from([0]))

/** What came back of one message: SQLSTATEs of errors, and tags of what ran. */
async function say(client: RawClient, ...messages: readonly Buffer[]): Promise<readonly string[]> {
  client.send(...messages)
  return (await client.answers()).filter((line) => /^(E|C|closed)/.test(line))
}

describe('Promise 3, at every isolation level: what we cannot read is dangerous', () => {
  it('functions, dynamic SQL, torn and monstrous texts: nothing of it runs unapproved, and people are told that it is unread', async () => {
    for (const sql of [...casesOf(unread, 17), ...casesOf(disguised, 3)]) {
      const shown = sql.slice(0, 60)
      const kinds = await kindsAsked(gate, shown, sql.length < 100_000 ? await coder.run(sql) : await runRaw(sql))
      if (kinds.length > 0) expect(kinds.join(' '), shown).toMatch(/unknown|destroy|escalate/)
      expect(await checksums(postgres, ['canary']), shown).toEqual(before)
    }
    // The parser was attacked, and serves on.
    expect(await coder.run('SELECT count(*) FROM canary')).toMatchObject({ sqlState: '00000', rows: [['30']] })
  })

  it('is never reported as a read, with no gate at all', async () => {
    const lines = unread.map((sql, index) => JSON.stringify({ id: String(index), sql }))
    const said = await new Promise<string>((resolve, reject) => {
      const child = execFile(
        process.execPath,
        [cli, 'explain', '--protocol', 'postgres', '--jsonl'],
        { maxBuffer: 64 << 20 },
        (error, out) => (error === null ? resolve(out) : reject(new Error(error.message))),
      )
      child.stdin?.end(`${[...lines, 'not json', '{"id":"x"}', '{"id":"y","sql":7}'].join('\n')}\n`)
    })
    const verdicts = said
      .trim()
      .split('\n')
      .map((line) => z.object({ kind: z.string() }).parse(JSON.parse(line)))
    expect(verdicts).toHaveLength(unread.length + 3)
    expect(
      verdicts
        .map(({ kind }, index) => (kind === 'read' || kind === 'write' ? unread[index] : null))
        .filter((sql) => sql !== null),
    ).toEqual([])
  })

  it('a text past the limit, a zero byte, broken UTF-8: refused or unknown, never read in part', async () => {
    const hostile: readonly (Uint8Array | string)[] = [
      `SELECT 1 /*${'x'.repeat(300_000)}*/; DELETE FROM canary`,
      'SELECT 1\0; DELETE FROM canary',
      Buffer.concat([Buffer.from("SELECT '"), Buffer.from([0xc0, 0x27]), Buffer.from("'; DELETE FROM canary; --'")]),
      Buffer.concat([Buffer.from("SELECT '"), Buffer.from([0x95, 0x5c]), Buffer.from("'; DELETE FROM canary; --'")]),
      Buffer.from('DELETE FROM canary', 'utf16le'),
      Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from('DELETE FROM canary')]),
      'DELETE\u00a0FROM\u2003canary',
      'ＤＥＬＥＴＥ FROM canary',
    ]
    for (const bytes of hostile) {
      const client = await openRaw()
      const came = await say(client, query(bytes))
      expect(
        came.some((line) => line.startsWith('C ')),
        `${Buffer.from(bytes).toString('latin1').slice(0, 40)}: ${came.join(' ')}`,
      ).toBe(false)
      client.close()
      expect(await checksums(postgres, ['canary'])).toEqual(before)
    }
  })

  it('the string that only a server with standard_conforming_strings off reads as two statements', async () => {
    const smuggled = "SELECT 'a\\''; DELETE FROM canary; --'"
    const starts = [
      [['standard_conforming_strings', 'off']],
      [['Standard_Conforming_Strings', 'off']],
      [['options', '-c standard_conforming_strings=off']],
      [['options', '-cstandard_conforming_strings=off']],
      [['options', '--standard-conforming-strings=off']],
      [['options', '-c\tstandard_conforming_strings=0']],
      [['client_encoding', 'SJIS']],
      [['client_encoding', 'SQL_ASCII']],
      [['options', '-c client_encoding=GBK']],
      [['replication', 'database']],
      [['options', '-c session_replication_role=replica']],
      [['search_path', 'pg_temp']],
    ] as const
    for (const parameters of casesOf(starts, 6))
      expect(await refusedAtStart(parameters), JSON.stringify(parameters)).toBe('0A000')
    const turns = [
      'SET standard_conforming_strings = off',
      'SET LOCAL standard_conforming_strings TO 0',
      'SET SESSION "standard_conforming_strings" = false',
      "SELECT set_config('standard_conforming_strings', 'off', false)",
      "SELECT set_config('standard_' || 'conforming_strings', 'off', false)",
      "UPDATE pg_settings SET setting = 'off' WHERE name = 'standard_conforming_strings'",
      'ALTER ROLE app_use SET standard_conforming_strings = off',
      "SET client_encoding = 'SJIS'",
      "SET NAMES 'GBK'",
      "SELECT set_config('client_encoding', 'BIG5', false)",
      "DO $$ BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); END $$",
    ]
    for (const sql of casesOf(turns, 5)) {
      const client = await openRaw()
      const came = await say(client, query(sql))
      expect(came.join(' '), sql).toMatch(/^(E (SP001|42501|0A000)|closed)/)
      if (came[0]?.startsWith('E'))
        expect(
          (await say(client, query(smuggled))).filter((line) => line.startsWith('C DELETE')),
          sql,
        ).toEqual([])
      client.close()
    }
    await withdrawAll()
    expect(await checksums(postgres, ['canary'])).toEqual(before)
  })

  it('a server that itself starts with such a setting is not spoken to', async () => {
    await postgres.query('ALTER ROLE app_use SET standard_conforming_strings = off')
    try {
      expect(await coder.run("SELECT 'a\\''; DELETE FROM canary; --'")).toMatchObject({ sqlState: '08006' })
    } finally {
      await postgres.query('ALTER ROLE app_use RESET standard_conforming_strings')
    }
    expect(await checksums(postgres, ['canary'])).toEqual(before)
  })

  it('messages that carry no readable text: function call, COPY data, a Query amid a batch, half a message', async () => {
    const parse = (name: string, sql: string): Buffer => frame(0x50, zeroTerminated(name), zeroTerminated(sql), int16(0))
    const bind = (name: string): Buffer => frame(0x42, zeroTerminated(''), zeroTerminated(name), int16(0), int16(0), int16(0))
    const execute = frame(0x45, zeroTerminated(''), int32(0))
    const sync = frame(0x53)
    const attempts = [
      [functionCall()],
      // Data of a copy that nobody began is dropped; what comes behind it is read.
      [frame(0x64, zeroTerminated('1\tx')), query('SELECT wipe()')],
      [parse('', 'SELECT wipe()'), bind(''), execute, sync],
      [parse('s', 'SELECT 1'), parse('s', 'DELETE FROM canary'), bind('s'), execute, sync],
      [parse('s', 'SELECT wipe()'), bind('s'), execute, query('SELECT 1'), sync],
      [query('PREPARE s AS DELETE FROM canary'), bind('s'), execute, sync],
      [parse('', 'EXECUTE s'), bind(''), execute, sync],
      [parse('', 'DELETE FROM canary; SELECT 1'), bind(''), execute, sync],
      [Buffer.from([0x51, 0x7f, 0xff, 0xff, 0xff])],
      [Buffer.from([0x51, 0, 0, 0, 3])],
      [frame(0x7a, zeroTerminated('DELETE FROM canary'))],
    ]
    for (const [index, messages] of attempts.entries()) {
      const client = await openRaw()
      const came = await say(client, ...messages)
      expect(
        came.some((line) => /^C (DELETE|COPY|SELECT)/.test(line)),
        `${index}: ${came.join(' ')}`,
      ).toBe(false)
      expect(came.join(' '), String(index)).toMatch(/E |closed/)
      client.close()
      expect(await checksums(postgres, ['canary']), String(index)).toEqual(before)
    }
    await withdrawAll()
  })

  it('outside production it runs within scope, and the log says what it is', async () => {
    expect(await staging.run('SELECT wipe()')).toMatchObject({ sqlState: '00000', rows: [['30']] })
    expect((await checksums(postgres, ['canary'], 'stage'))['canary']).toContain('0 rows')
    const intents = eventsOf(gate, 'intent').map(({ data }) => JSON.stringify(data))
    expect(intents.filter((intent) => intent.includes('wipe') && intent.includes('"kind":"unknown"'))).toHaveLength(1)
    // In all of this story nothing that it sent to the canary counted as a read but reads.
    const reads = eventsOf(gate, 'statement').map((event) => textOf(event, 'text'))
    expect(reads.filter((text) => /wipe|DELETE FROM canary(?!; --')|EXECUTE|DO /.test(text))).toEqual([])
  })
})

/** Too long for an argument of psql's. */
async function runRaw(sql: string): Promise<{ sqlState: string; request: string; message: string }> {
  const client = await openRaw()
  client.send(query(sql))
  const messages = await client.untilReady()
  client.close()
  const error = messages.find(({ type }) => type === 'E')
  const fields = error === undefined ? new Map<string, string>() : readErrorFields(error.bytes)
  const request = /Request ([0-9a-f]{32})/.exec(fields.get('D') ?? '')?.[1] ?? ''
  return { sqlState: fields.get('C') ?? '00000', request, message: fields.get('M') ?? '' }
}

/** The SQLSTATE with which a start-up packet of these parameters is turned away, before any password. */
async function refusedAtStart(parameters: readonly (readonly [string, string])[]): Promise<string> {
  const client = new RawClient(gate.port)
  client.send(startupMessage(new Map<string, string>([['user', 'coder'], ['database', 'orders-db'], ...parameters])))
  const { type, bytes } = await client.next()
  client.close()
  return type === 'E' ? (readErrorFields(bytes).get('C') ?? '') : type
}

/** What waits is withdrawn, and none of it had been taken for a read. */
async function withdrawAll(): Promise<void> {
  const { requests } = await gate.get(
    '/api/v1/requests',
    z.object({ requests: z.array(z.object({ id: z.string(), state: z.string() })) }),
  )
  for (const { id, state } of requests) {
    if (state !== 'pending') continue
    const { question } = await readRequest(gate, id)
    expect(question.operations.map(({ kind }) => kind).join(' '), waits).toMatch(/unknown|destroy|escalate|disrupt/)
    await cancel(gate, id)
  }
}
