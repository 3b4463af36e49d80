import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { startBrowser, type BrowserPerson, type TestBrowser } from '../fakes/browser.ts'
import { confirmInvitation, type HttpPerson } from '../fakes/http-person.ts'
import { arrange, startGate, type AgentConnection, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { cancel, checksums, eventsOf, patience, readRequest, requestOf, textOf, waits } from './evidence.ts'
import { makeFaults } from './faults.ts'
import { decideOnPage, enrolOnPage } from './page.ts'
import { openPsql, type Psql } from './psql.ts'
import { casesOf, roundsOf } from '../breadth.ts'

vi.setConfig(patience)

const faults = makeFaults()
let postgres: PostgresServer
let gate: TestGate
let browser: TestBrowser
let bob: BrowserPerson
let carol: HttpPerson
let dave: HttpPerson
let coder: Psql
let twin: Psql
let mirror: Psql

const tables = ['notes', 'parts', 'others']

beforeAll(async () => {
  postgres = await startPostgres()
  const may = ['any orders-db', 'any mirror-db']
  gate = await startGate({
    postgres,
    wait: '0ms',
    limits: { rowsWithoutPrompt: 0 },
    environment: faults.environment,
    agents: { coder: { owner: 'ada', may }, twin: { owner: 'ada', may } },
    // Two names for one database: an approval for one is none for the other.
    upstreams: { 'orders-db': {}, 'mirror-db': {} },
  })
  await arrange(
    postgres,
    `CREATE TABLE notes (id int PRIMARY KEY, body text);
     CREATE TABLE parts (id int PRIMARY KEY, name text);
     CREATE TABLE others (id int PRIMARY KEY, name text);
     INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 60) n;
     INSERT INTO parts SELECT n, 'part ' || n FROM generate_series(1, 20) n;
     INSERT INTO others SELECT n, 'other ' || n FROM generate_series(1, 20) n`,
  )
  const ada = await gate.person('ada')
  carol = await gate.person('carol')
  dave = await gate.person('dave')
  browser = await startBrowser()
  bob = await browser.open()
  const link = await ada.invite()
  await confirmInvitation(carol, link)
  await enrolOnPage(bob, link, 'bob')
  coder = await openPsql(gate, 'coder')
  twin = await openPsql(gate, 'twin')
  mirror = await openPsql(gate, 'coder', { database: 'mirror-db' })
})

afterEach(async () => {
  faults.setClockAhead(0)
  const shape = z.object({ requests: z.array(z.object({ id: z.string(), state: z.string() })) })
  for (const { id, state } of (await gate.get('/api/v1/requests', shape)).requests)
    if (state === 'pending' || state === 'approved') await cancel(gate, id)
})

afterAll(async () => {
  await browser?.stop()
  await gate?.stop()
  await postgres?.stop()
  faults.remove()
})

async function approve(request: string): Promise<void> {
  for (const person of [carol, dave]) {
    await person.approve(request)
    if ((await readRequest(gate, request)).state === 'approved') return
  }
}

/** None of these runs, whoever approved what before. */
async function expectNothingRuns(
  runs: readonly (() => Promise<{ readonly sqlState: string; readonly message: string }>)[],
): Promise<void> {
  const before = await checksums(postgres, tables)
  for (const run of runs) {
    const ran = await run()
    expect([waits, '42501', '53400', '55000', '0A000'], `${String(run)}: ${ran.sqlState} ${ran.message}`).toContain(ran.sqlState)
    expect(await checksums(postgres, tables), String(run)).toEqual(before)
  }
}

const voidReasons = (): readonly string[] => eventsOf(gate, 'grant.void').map((event) => textOf(event, 'why'))

describe('Promise 6, at every isolation level: an approval fits one operation, is used once, expires, and is void when policy or target changed', () => {
  const sql = 'DELETE FROM notes WHERE id <= 3'

  it('approved on the real page it runs as it was shown, once, and nothing that only resembles it runs', async () => {
    const request = requestOf(await coder.run(sql))
    expect(await readRequest(gate, request)).toMatchObject({
      question: { rowsMax: expect.any(Number), operations: [{ kind: 'destroy', rows: 3 }] },
    })
    expect(await decideOnPage(bob, gate, request, 'approve', sql)).toContain('approved')
    await expectNothingRuns([
      () => coder.run('DELETE FROM notes WHERE id <= 4'),
      () => coder.run('DELETE FROM notes WHERE id <= 30'),
      () => coder.run('DELETE FROM notes WHERE id <= 3 '),
      () => coder.run('DELETE FROM notes WHERE id <= 3;'),
      () => coder.run('delete from notes where id <= 3'),
      () => coder.run('DELETE FROM public.notes WHERE id <= 3'),
      () => coder.run('DELETE FROM notes WHERE id <= 3; SELECT 1'),
      () => coder.run('DELETE FROM notes WHERE id <= 3; DELETE FROM parts'),
      () => coder.run('BEGIN; DELETE FROM notes WHERE id <= 3; COMMIT'),
      () => coder.run('UPDATE notes SET body = NULL WHERE id <= 3'),
      () => coder.run('DELETE FROM parts WHERE id <= 3'),
      () => twin.run(sql),
      () => mirror.run(sql),
    ])
    await expectSettingsCount(sql)
    expect(await coder.run(sql)).toMatchObject({ sqlState: '00000' })
    expect((await checksums(postgres, ['notes']))['notes']).toContain('57 rows')
    await arrange(postgres, "INSERT INTO notes SELECT n, 'again' FROM generate_series(1, 3) n")
    await expectNothingRuns([() => coder.run(sql), () => coder.run(sql)])
    expect(bob.complaints).toEqual([])
  })

  it('of two that hold the same approval at the same time one runs', async () => {
    const both = 'DELETE FROM notes WHERE id = 60'
    const request = requestOf(await coder.run(both))
    await approve(request)
    const ran = await Promise.all([coder.run(both), coder.run(both), coder.run(both), mirror.run(both)])
    expect(ran.map(({ sqlState }) => sqlState)).toContain('00000')
    // Once the row is gone the same text changes nothing, which needs nobody; the approval was used by one of them.
    expect(eventsOf(gate, 'intent').filter((intent) => textOf(intent, 'request') === request)).toHaveLength(1)
    expect((await checksums(postgres, ['notes']))['notes']).toContain('59 rows')
  })

  it('bind values are part of it', async () => {
    const connection = await gate.connect('coder')
    const bound = 'DELETE FROM notes WHERE id = $1'
    await approve(/[0-9a-f]{32}/.exec((await connection.run(bound, [10])).hint)?.[0] ?? '')
    await expectNothingRuns([
      () => connection.run(bound, [11]),
      () => connection.run(bound, ['010']),
      () => connection.run(bound, [Buffer.from([0, 0, 0, 11])]),
      () => connection.run('DELETE FROM notes WHERE id = 10'),
      () => connection.run('DELETE FROM notes WHERE id >= $1', [10]),
    ])
    expect(await connection.run(bound, [10])).toMatchObject({ sqlState: '00000', rowCount: 1 })
    await arrange(postgres, "INSERT INTO notes VALUES (10, 'again')")
    await expectNothingRuns([() => connection.run(bound, [10])])
    await connection.close()
  })

  it('a changed, replaced or renamed table is another target', async () => {
    const drop = 'DROP TABLE parts'
    const changes = [
      'ALTER TABLE parts ADD COLUMN more int',
      'ALTER TABLE parts ALTER COLUMN name TYPE varchar(80)',
      'CREATE TABLE parts_new AS SELECT * FROM parts; DROP TABLE parts; ALTER TABLE parts_new RENAME TO parts; ALTER TABLE parts ADD PRIMARY KEY (id)',
      'ALTER TABLE parts RENAME TO parts_old; ALTER TABLE others RENAME TO parts; ALTER TABLE parts_old RENAME TO others',
      'CREATE TABLE late (part int REFERENCES parts ON DELETE CASCADE)',
      "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'; CREATE TRIGGER late BEFORE DELETE ON parts FOR EACH ROW EXECUTE FUNCTION late()",
    ]
    for (const change of casesOf(changes, 3)) {
      await approve(requestOf(await coder.run(drop)))
      await arrange(postgres, change)
      const ran = await coder.run(drop)
      expect([waits, '42501', '2BP01'], `${change}: ${ran.sqlState} ${ran.message}`).toContain(ran.sqlState)
      expect((await checksums(postgres, ['parts']))['parts'], change).toContain('20 rows')
      if (ran.request !== '') await cancel(gate, ran.request)
    }
    // A replaced table is not even the one that the approval names; a changed one is, and that is on the log.
    expect(voidReasons().filter((why) => why === 'the target changed').length).toBeGreaterThanOrEqual(roundsOf(3, 2))
  })

  it('the scope shown is an upper bound: rows that came since make it fail before commit', async () => {
    const bounded = "DELETE FROM notes WHERE body LIKE 'note 2%'"
    const request = requestOf(await coder.run(bounded))
    const { rowsMax, operations } = (await readRequest(gate, request)).question
    expect(operations[0]?.rows).toBe(10)
    await approve(request)
    await arrange(postgres, `INSERT INTO notes SELECT 1000 + n, 'note 2 ' || n FROM generate_series(1, ${rowsMax ?? 0}) n`)
    await expectNothingRuns([() => coder.run(bounded)])
    // Within the bound live rows may change: it is still what was approved.
    await arrange(postgres, 'DELETE FROM notes WHERE id > 1001')
    expect(await coder.run(bounded)).toMatchObject({ sqlState: '00000' })
    expect((await checksums(postgres, ['notes']))['notes']).toContain('49 rows')
  })

  it('another policy in force voids it, and a question asked under the old one cannot be approved', async () => {
    const kept = 'DELETE FROM notes WHERE id = 30'
    await approve(requestOf(await coder.run(kept)))
    const pending = requestOf(await coder.run('DELETE FROM notes WHERE id = 31'))
    const configuration = readFileSync(gate.configuration, 'utf8')
    await gate.halt()
    // Less than before: more would need a person first.
    writeFileSync(gate.configuration, configuration.replace(/,\s*"any mirror-db"/, ''))
    expect(readFileSync(gate.configuration, 'utf8').length).toBeLessThan(configuration.length)
    await gate.start()
    await expectNothingRuns([() => coder.run(kept)])
    expect(voidReasons()).toContain('the policy changed')
    for (const person of [carol, dave]) await person.signIn()
    expect((await carol.give(pending, 'approve')).status).toBeGreaterThanOrEqual(400)
    expect((await readRequest(gate, pending)).approvals).toEqual([])
  })

  it('expires, approved or not', async () => {
    const late = 'DELETE FROM notes WHERE id = 40'
    await approve(requestOf(await coder.run(late)))
    faults.setClockAhead(15 * 60_000 + 1_000)
    await expectNothingRuns([() => coder.run(late)])
    expect(voidReasons()).toContain('it expired')
    faults.setClockAhead(0)
    const unanswered = requestOf(await coder.run('DELETE FROM notes WHERE id = 41'))
    faults.setClockAhead(60 * 60_000 + 1_000)
    await carol.signIn()
    expect((await carol.give(unanswered, 'approve')).status).toBeGreaterThanOrEqual(400)
    expect((await readRequest(gate, unanswered)).approvals).toEqual([])
  })

  it('a verdict is for the request that was read: neither moved to another one nor given twice', async () => {
    const one = requestOf(await coder.run('DELETE FROM notes WHERE id = 50'))
    const other = requestOf(await coder.run('DELETE FROM notes WHERE id = 51'))
    for (const person of [carol, dave]) await person.signIn()
    const asked = await carol.ask(one, 'approve')
    const { publicKey } = z.object({ publicKey: z.object({ challenge: z.string() }) }).parse(asked.body)
    const signed = carol.passkey.assert(publicKey.challenge)
    await carol.ask(other, 'approve')
    expect((await carol.answer(other, 'approve', signed)).status).toBeGreaterThanOrEqual(400)
    expect((await dave.answer(one, 'approve', signed)).status).toBeGreaterThanOrEqual(400)
    expect((await carol.answer(one, 'reject', signed)).status).toBeGreaterThanOrEqual(400)
    expect((await carol.answer(one, 'approve', signed)).status).toBe(200)
    expect((await carol.answer(one, 'approve', signed)).status).toBeGreaterThanOrEqual(400)
    expect((await readRequest(gate, other)).approvals).toEqual([])
    await expectNothingRuns([() => coder.run('DELETE FROM notes WHERE id = 51')])
  })
})

/** The same text under other settings, and where its names mean something else. */
async function expectSettingsCount(sql: string): Promise<void> {
  const settings = [
    "SET datestyle = 'German'",
    "SET timezone = 'Asia/Tokyo'",
    'CREATE TEMP TABLE notes (id int PRIMARY KEY, body text)',
  ]
  for (const setting of settings) {
    const connection: AgentConnection = await gate.connect('coder')
    const before = await checksums(postgres, tables)
    expect((await connection.run(setting)).sqlState, setting).toMatch(/00000|SP001/)
    const ran = await connection.run(sql)
    // A temporary table of that name may be emptied; the one that was approved may not.
    if (!setting.startsWith('CREATE TEMP')) expect(ran.sqlState, setting).toBe(waits)
    expect(await checksums(postgres, tables), setting).toEqual(before)
    await connection.close()
  }
}
