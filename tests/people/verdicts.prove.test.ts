import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { z } from 'zod'
import type { BrowserPerson, TestBrowser } from '../fakes/browser.ts'
import { startBrowser } from '../fakes/browser.ts'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { eventsOf, patience, readRequest, requestOf, textOf, waits } from '../stories/evidence.ts'
import { makeFaults } from '../stories/faults.ts'
import { enrolOnPage } from '../stories/page.ts'
import { openPsql, type Psql } from '../stories/psql.ts'

/** Every verdict that must not count, given by people at real browsers with authenticators of their own, on a real gate; each is looked for on the log. */
vi.setConfig(patience)

const names = ['ada', 'bob', 'carol', 'dave', 'eve'] as const
type Name = (typeof names)[number]
const faults = makeFaults()
const people = new Map<Name, BrowserPerson>()
let postgres: PostgresServer
let gate: TestGate
let browser: TestBrowser
let coder: Psql
let ledger: Psql

beforeAll(async () => {
  postgres = await startPostgres()
  gate = await startGate({
    postgres,
    wait: '0ms',
    http: true,
    environment: faults.environment,
    limits: { rowsWithoutPrompt: 0 },
    agents: { coder: { owner: 'ada', may: ['any orders-db', 'any ledger-db'] } },
    upstreams: { 'orders-db': {}, 'ledger-db': {} },
    people: {
      groups: { dba: ['bob', 'carol', 'dave'] },
      approvals: { 'ledger-db': { from: 'dba', count: 2 } },
      breakGlass: ['eve'],
    },
  })
  const tables = Array.from({ length: 12 }, (_, index) => `CREATE TABLE t${index} AS SELECT generate_series(1, 5) AS id`)
  await arrange(postgres, tables.join('; '))
  browser = await startBrowser()
  for (const name of names) people.set(name, await browser.open())
  await enrolOnPage(at('ada'), gate.enrolmentUrl ?? '', 'ada')
  for (const name of names.slice(1)) await inviteOnPages(name)
  coder = await openPsql(gate, 'coder')
  ledger = await openPsql(gate, 'coder', { database: 'ledger-db' })
})

afterAll(async () => {
  await browser?.stop()
  await gate?.stop()
  await postgres?.stop()
  faults.remove()
})

function at(name: Name): BrowserPerson {
  const person = people.get(name)
  if (person === undefined) throw new Error(`${name} has no browser`)
  return person
}

/** Ada invites; from the third person on bob confirms, who is another. */
async function inviteOnPages(name: Name): Promise<void> {
  const { page } = at('ada')
  await page.goto(`${gate.controlUrl}/people`)
  await page.click('text=Make an invitation')
  await page.locator('output', { hasText: '/enrol#' }).waitFor()
  const link = (await page.textContent('output')) ?? ''
  if (name !== 'bob') {
    await at('bob').page.goto(`${gate.controlUrl}/people`)
    await at('bob').page.click('text=Confirm with passkey')
    await at('bob').page.locator('main', { hasText: 'Confirmed by bob' }).waitFor()
  }
  await enrolOnPage(at(name), link, name)
}

async function ask(psql: Psql, sql: string): Promise<string> {
  const ran = await psql.run(sql)
  expect(ran.sqlState).toBe(waits)
  return requestOf(ran)
}

async function open(name: Name, request: string): Promise<void> {
  await at(name).page.goto(`${gate.controlUrl}/requests/${request}`)
}

/** Presses a button of the form on the page; what the gate's last answer to it was. */
async function press(
  name: Name,
  selector = 'button[value=approve]:not([data-glass])',
): Promise<{ status: number; path: string }> {
  const { page } = at(name)
  const answered = page.waitForResponse(
    (response) =>
      response.request().method() === 'POST' &&
      /\/(verdict|challenge|review|remove)(\/options)?$/.test(response.url()) &&
      (response.status() !== 200 || /\/(verdict|review|remove)$/.test(response.url())),
  )
  const moved = page.waitForEvent('framenavigated').catch(() => null)
  await page.click(selector)
  const response = await answered
  // What was taken leads to the page as it is now.
  if (response.status() === 200) await moved
  await page.waitForLoadState()
  return { status: response.status(), path: new URL(response.url()).pathname.split('/').at(-1) ?? '' }
}

const verdictsOn = (request: string): readonly string[] =>
  eventsOf(gate, 'verdict')
    .filter((event) => textOf(event, 'request') === request)
    .map(({ data }) => z.object({ person: z.string(), verdict: z.string() }).parse(data['approval']))
    .map(({ person, verdict }) => `${person} ${verdict}`)
const refusalsOn = (request: string): readonly string[] =>
  eventsOf(gate, 'verdict.refused')
    .filter((event) => textOf(event, 'request') === request)
    .map((event) => `${textOf(event, 'person')}: ${textOf(event, 'why')}`)
const approvalsOf = (request: string): number =>
  eventsOf(gate, 'request.approved').filter((event) => textOf(event, 'request') === request).length
const runsOf = (request: string): number =>
  eventsOf(gate, 'intent').filter((event) => textOf(event, 'request') === request).length

test('everybody is enrolled by a passkey of their own, and the log says by whom they were let in', () => {
  expect(eventsOf(gate, 'person.enrolled').map((event) => textOf(event, 'name') || textOf(event, 'person'))).toEqual([...names])
})

test('quorum: two of the group, none of them twice, and nobody from outside it', async () => {
  const request = await ask(ledger, 'DROP TABLE t0')
  await open('bob', request)
  expect(await press('bob')).toMatchObject({ status: 200 })
  expect(await readRequest(gate, request)).toMatchObject({ state: 'pending' })
  expect((await ledger.run('DROP TABLE t0')).sqlState).toBe(waits)
  // Twice: the page has no button any more.
  await open('bob', request)
  expect(await at('bob').page.locator('button[value=approve]').count()).toBe(0)
  await open('eve', request)
  expect(await press('eve')).toMatchObject({ status: 409 })
  expect(refusalsOn(request)).toEqual([expect.stringContaining('eve: Only people of the group "dba"')])
  await open('carol', request)
  expect(await press('carol')).toMatchObject({ status: 200 })
  expect((await ledger.run('DROP TABLE t0')).sqlState).toBe('00000')
  expect([verdictsOn(request), approvalsOf(request), runsOf(request)]).toEqual([['bob approve', 'carol approve'], 1, 1])
})

test('self-approval: the owner of the agent is refused, on the page and on the log', async () => {
  const request = await ask(coder, 'DROP TABLE t1')
  await open('ada', request)
  expect(await press('ada')).toMatchObject({ status: 409, path: 'verdict' })
  expect([verdictsOn(request), approvalsOf(request)]).toEqual([[], 0])
  expect(refusalsOn(request)).toEqual(['ada: You own this agent; in team mode somebody else has to approve what it asks.'])
  expect((await coder.run('DROP TABLE t1')).sqlState).toBe(waits)
})

test('changed: what a page was made to ask for in place of what it shows is not signed, and what differs from what was approved asks anew', async () => {
  const shown = await ask(coder, 'DROP TABLE t1')
  const other = await ask(coder, 'DROP TABLE t2')
  await open('bob', shown)
  // Somebody who can write into the page lets its form point at the other request.
  await at('bob').page.evaluate(`{
    const { dataset } = document.querySelector('form[data-finish$="/verdict"]')
    for (const key of ['options', 'finish']) dataset[key] = dataset[key].replace('${shown}', '${other}')
  }`)
  expect(await press('bob')).toMatchObject({ status: 409, path: 'challenge' })
  expect([verdictsOn(shown), verdictsOn(other)]).toEqual([[], []])
  await open('bob', shown)
  expect(await press('bob')).toMatchObject({ status: 200 })
  for (const sql of ['DROP TABLE t2', 'DROP TABLE t1 CASCADE', 'DROP TABLE t1, t2'])
    expect((await coder.run(sql)).sqlState).toBe(waits)
  expect((await coder.run('DROP TABLE t1')).sqlState).toBe('00000')
  expect([runsOf(shown), runsOf(other)]).toEqual([1, 0])
})

test('replay: a signature that was used is none, for the same request and for another', async () => {
  const first = await ask(coder, 'DROP TABLE t3')
  const second = await ask(coder, 'DROP TABLE t4')
  await open('bob', first)
  const sent = at('bob').page.waitForRequest((request) => request.url().endsWith('/verdict'))
  expect(await press('bob')).toMatchObject({ status: 200 })
  const body = (await sent).postData() ?? ''
  await open('bob', second)
  const statuses = await at('bob').page.evaluate(`Promise.all(${JSON.stringify([first, second])}.map((id) =>
    fetch('/requests/' + id + '/verdict', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-csrf-token': document.body.dataset.csrf },
      body: ${JSON.stringify(body)},
    }).then(({ status }) => status)))`)
  expect(statuses).toEqual([409, 409])
  expect([verdictsOn(first), verdictsOn(second)]).toEqual([['bob approve'], []])
  for (const id of [first, second])
    expect(refusalsOn(id)).toEqual([expect.stringContaining('bob: No signature was asked for here')])
  expect((await coder.run('DROP TABLE t4')).sqlState).toBe(waits)
})

test('a person who was removed: what they had signed counts no longer, and they sign nothing more', async () => {
  const request = await ask(ledger, 'DROP TABLE t5')
  await open('dave', request)
  expect(await press('dave')).toMatchObject({ status: 200 })
  const { page } = at('carol')
  await page.goto(`${gate.controlUrl}/people`)
  await page.locator('li', { hasText: 'dave' }).locator('summary').click()
  expect(await press('carol', 'li:has-text("dave") button.stop')).toMatchObject({ status: 200 })
  await open('dave', request)
  await at('dave').page.waitForURL('**/sign-in**')
  await open('bob', request)
  expect(await press('bob')).toMatchObject({ status: 200 })
  expect(await readRequest(gate, request)).toMatchObject({ state: 'pending' })
  expect((await ledger.run('DROP TABLE t5')).sqlState).toBe(waits)
  expect(eventsOf(gate, 'person.removed').map((event) => textOf(event, 'person') || textOf(event, 'name'))).toEqual(['dave'])
  expect(approvalsOf(request)).toBe(0)
})

test('a plan is approved once and then exceeded: what is not in it asks anew', async () => {
  const ids = [await ask(coder, 'DROP TABLE t6'), await ask(coder, 'DROP TABLE t7')]
  const authorization = `Basic ${Buffer.from(`coder:${await gate.issue('coder')}`).toString('base64')}`
  const declared = await fetch(`http://127.0.0.1:${gate.httpPort}/plans`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ requests: ids, reason: 'two old tables' }),
  })
  const plan = z.object({ id: z.string() }).parse(await declared.json()).id
  await open('ada', plan)
  expect((await press('ada')).status).toBeGreaterThanOrEqual(403)
  await open('bob', plan)
  expect(await at('bob').page.textContent('h1')).toContain('lan of 2 steps')
  expect(await press('bob')).toMatchObject({ status: 200 })
  for (const table of ['t6', 't7']) expect((await coder.run(`DROP TABLE ${table}`)).sqlState).toBe('00000')
  const exceeding = await ask(coder, 'DROP TABLE t8')
  expect([verdictsOn(plan), approvalsOf(plan), ...ids.map(runsOf), runsOf(exceeding)]).toEqual([['bob approve'], 1, 1, 1, 0])
  const under = eventsOf(gate, 'request.approved').map((event) => textOf(event, 'plan'))
  expect(under.filter((id) => id === plan)).toHaveLength(2)
})

test('break-glass: one named person alone, an alarm, and somebody else looks at it', async () => {
  const request = await ask(coder, 'DROP TABLE t9')
  await open('bob', request)
  expect(await at('bob').page.locator('[data-glass]').count()).toBe(0)
  await open('eve', request)
  await at('eve').page.click('text=Break glass >> nth=0')
  expect(await press('eve', '[data-glass]')).toMatchObject({ status: 200 })
  expect((await coder.run('DROP TABLE t9')).sqlState).toBe('00000')
  const alarms = eventsOf(gate, 'alarm').filter((event) => textOf(event, 'kind') === 'break_glass')
  expect(alarms.map((event) => textOf(event, 'person'))).toEqual(['eve'])
  // Not again before it was looked at, and not looked at by themselves.
  const again = await ask(coder, 'DROP TABLE t10')
  await open('eve', again)
  expect(await at('eve').page.locator('[data-glass]').count()).toBe(0)
  await open('bob', request)
  expect(await press('bob', 'text=I looked at it')).toMatchObject({ status: 200 })
  expect(eventsOf(gate, 'glass.reviewed')).toHaveLength(1)
})

test('expired: no answer in time is a no, on a page that was opened before', async () => {
  const request = await ask(coder, 'DROP TABLE t11')
  await open('bob', request)
  faults.setClockAhead(24 * 3_600_000)
  expect((await press('bob')).status).toBeGreaterThanOrEqual(401)
  faults.setClockAhead(0)
  expect([verdictsOn(request), approvalsOf(request)]).toEqual([[], 0])
})

test('no page broke a rule of its own', () => {
  for (const person of people.values()) expect(person.complaints).toEqual([])
})
