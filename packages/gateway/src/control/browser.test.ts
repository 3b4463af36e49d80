import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { challengeOf, makePlanQuestion } from '@sallyport/core'
import { type BrowserPerson, startBrowser, type TestBrowser } from '../../../../tests/fakes/browser.ts'
import { makePeopleBench, operatorTokenSha256, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { type ControlListener, startControl } from './index.ts'
import { inDepth } from '../../../../tests/breadth.ts'

let browser: TestBrowser
let bench: PeopleBench
let listener: ControlListener
let ada: BrowserPerson
let grace: BrowserPerson

/** Set SALLYPORT_SCREENS to a folder to keep a picture of every page. */
const screens = process.env['SALLYPORT_SCREENS']

async function picture(person: BrowserPerson, name: string): Promise<void> {
  if (screens === undefined) return
  mkdirSync(screens, { recursive: true })
  const was = person.page.viewportSize()
  for (const [width, height] of [
    [390, 844],
    [1280, 800],
  ] as const) {
    for (const colorScheme of ['light', 'dark'] as const) {
      await person.page.setViewportSize({ width, height })
      await person.page.emulateMedia({ colorScheme })
      await person.page.screenshot({ path: join(screens, `${name}-${width}-${colorScheme}.png`), fullPage: true })
    }
  }
  await person.page.emulateMedia({ colorScheme: 'light' })
  if (was) await person.page.setViewportSize(was)
}

beforeAll(async () => {
  bench = makePeopleBench()
  listener = await startControl(bench.ports, { port: 0, operatorTokenSha256 })
  browser = await startBrowser()
  ada = await browser.open()
})

afterAll(async () => {
  await browser?.stop()
  await listener?.close()
})

test('enrol by the one-time link, which then enrols nobody else', async () => {
  await ada.page.goto(listener.url)
  await expect.poll(() => ada.page.textContent('h1')).toBe('Nobody is enrolled yet')
  await picture(ada, 'sign-in-nobody')
  const link = await listener.firstEnrolmentLink()
  await ada.page.goto(link?.url ?? '')
  expect(new URL(ada.page.url()).hash).toBe('')
  await picture(ada, 'enrol')
  await ada.page.fill('#name', 'ada')
  await ada.page.click('button[type=submit]')
  await ada.page.waitForURL('**/requests')
  expect(await ada.passkeys()).toBe(1)
  expect((await bench.ports.people.list()).map(({ name }) => name)).toEqual(['ada'])
  expect(await listener.firstEnrolmentLink()).toBeNull()
  await picture(ada, 'requests-empty')

  const mallory = await browser.open()
  await mallory.page.goto(link?.url ?? '')
  await mallory.page.fill('#name', 'mallory')
  await mallory.page.click('button[type=submit]')
  await expect.poll(() => mallory.page.textContent('[role=status]')).toContain('Nobody was enrolled')
  expect(await bench.ports.people.list()).toHaveLength(1)
  await mallory.close()
})

test('sign out and in again', async () => {
  await ada.page.click('button[data-post="/sign-out"]')
  await ada.page.waitForURL('**/sign-in')
  await ada.page.goto(`${listener.url}/live`)
  await ada.page.waitForURL('**/sign-in?next=%2Flive')
  await picture(ada, 'sign-in')
  await ada.page.click('button[type=submit]')
  await ada.page.waitForURL('**/live')
})

test('approve on the page: the passkey signs exactly what the page shows', async () => {
  const request = await bench.ask()
  await ada.page.goto(`${listener.url}/requests/${request.id}`)
  expect(await ada.page.textContent('h1')).toBe('deletes 48,211 rows in 3 tables')
  expect(await ada.page.textContent('.hero')).toContain('2 views depend on it')
  expect(await ada.page.textContent('.hero')).toContain('newest proven copy 4 s old')
  await picture(ada, 'request-pending')
  await ada.page.fill('#reason', 'agreed in the stand-up')
  await ada.page.click('button[value=approve]')
  await expect.poll(() => ada.page.textContent('#state')).toContain('approved')
  const approved = await bench.ports.requests.get(request.id)
  expect(approved?.state).toBe('approved')
  expect(approved?.approvals[0]).toMatchObject({
    person: 'ada',
    verdict: 'approve',
    challenge: challengeOf(request, 'approve'),
    reason: 'agreed in the stand-up',
  })
  await picture(ada, 'request-approved')
})

test('approve under conditions: page and gate make the same challenge of them', async () => {
  const request = await bench.ask({ text: 'DELETE FROM orders -- under conditions' })
  await ada.page.goto(`${listener.url}/requests/${request.id}`)
  await ada.page.click('summary')
  await ada.page.fill('#rows', '100')
  const later = new Date(Math.ceil(bench.clock.nowMs() / 60_000) * 60_000 + 3_600_000)
  const local = new Date(later.getTime() - later.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
  await ada.page.fill('#after', local)
  await picture(ada, 'request-conditions')
  await ada.page.click('button[value=approve]')
  await expect.poll(() => ada.page.textContent('#state')).toContain('may run in')
  const conditions = { rowsMax: 100, notBeforeMs: later.getTime() }
  expect((await bench.ports.requests.get(request.id))?.approvals[0]).toMatchObject({
    conditions,
    challenge: challengeOf(request, 'approve', conditions),
  })
})

test('a plan is approved as a whole: one signature, a grant for each step, and no other', async () => {
  const members = [
    await bench.ask({ text: 'DROP TABLE orders_old -- first' }),
    await bench.ask({ text: 'DELETE FROM orders -- second' }),
  ]
  const outside = await bench.ask({ text: 'DROP TABLE customers -- outside' })
  const plan = await bench.ask(makePlanQuestion(members, 'orders go to the new schema'))
  await ada.page.goto(`${listener.url}/requests/${plan.id}`)
  expect(await ada.page.textContent('h1')).toContain('plan of 2 steps')
  await picture(ada, 'request-plan')
  await ada.page.click('button[value=approve]')
  await expect.poll(() => ada.page.textContent('#state')).toContain('approved')
  const states = [...members, outside].map(async ({ id }) => (await bench.ports.requests.get(id))?.state)
  expect(await Promise.all(states)).toEqual(['approved', 'approved', 'pending'])
  const grants = bench.log.ofType('request.approved').slice(-3)
  expect(grants.map(({ data }) => [data['request'], data['plan'] ?? null])).toEqual([
    [plan.id, null],
    ...members.map(({ id }) => [id, plan.id]),
  ])
  await ada.page.goto(`${listener.url}/requests/${members[0]?.id ?? ''}`)
  expect(await ada.page.textContent('main')).toContain('a step of a plan')
  await picture(ada, 'request-step')
})

test('reject on the page', async () => {
  const request = await bench.ask({ text: 'DELETE FROM orders' })
  await ada.page.goto(`${listener.url}/requests/${request.id}`)
  await ada.page.click('button[value=reject]')
  await expect.poll(() => ada.page.textContent('#state')).toContain('rejected')
  expect((await bench.ports.requests.get(request.id))?.state).toBe('rejected')
  await picture(ada, 'request-rejected')
})

test.each(inDepth('a cool-off counts down and anyone can cancel it'))('%s', async () => {
  const request = await bench.ask({ delayMs: 900_000, approvalsNeeded: 1, copy: 'impossible' })
  await ada.page.goto(`${listener.url}/requests/${request.id}`)
  await ada.page.click('button[value=approve]')
  await expect.poll(() => ada.page.textContent('#state')).toContain('may run in')
  const first = await ada.page.textContent('#state time')
  expect(first).toMatch(/^(15 min|14 min 5\d s)$/)
  await expect.poll(() => ada.page.textContent('#state time')).not.toBe(first)
  await picture(ada, 'request-cooling')
  await ada.page.click('#state button')
  await expect.poll(() => ada.page.textContent('#state')).toContain('cancelled')
})

test('a person who was not verified approves nothing', async () => {
  const request = await bench.ask()
  await ada.page.goto(`${listener.url}/requests/${request.id}`)
  await ada.verifyUser(false)
  await ada.page.click('button[value=approve]')
  await expect.poll(() => ada.page.textContent('form [role=status]')).toContain('Nothing was done')
  expect((await bench.ports.requests.get(request.id))?.state).toBe('pending')
  await ada.verifyUser(true)
})

test('text of an agent neither runs, nor reorders, nor hides', async () => {
  const hostile = `SELECT 1 -- \u202Eelbat eht pord\n</pre><script>document.title='owned'</script><img src=x onerror="document.title='owned'">${'\n'.repeat(60)}DROP TABLE оrders;`
  const request = await bench.ask({ text: hostile, subject: { agent: 'coder', owner: 'someone <b>else</b>' } })
  await ada.page.goto(`${listener.url}/requests/${request.id}`)
  expect(await ada.page.title()).not.toContain('owned')
  const shown = (await ada.page.textContent('pre')) ?? ''
  expect(shown).toBe(hostile.replace('\u202E', '⟦U+202E⟧'))
  expect(await ada.page.textContent('.fence')).toContain('Letters outside ASCII')
  expect(await ada.page.textContent('.fence')).toContain('scroll to read all of it')
  await picture(ada, 'request-hostile')
})

test('live: operations appear as they happen, and a session is killed by a button', async () => {
  bench.sessions.push({
    id: 'session-7f3a',
    subject: { agent: 'coder', owner: 'ada' },
    handleId: 'h1',
    protocol: 'postgres',
    upstream: 'orders-db',
    openedAtMs: bench.clock.nowMs(),
    peer: '127.0.0.1',
  })
  bench.sessions.push({
    id: 'session-91bc',
    subject: { agent: 'reporter', owner: 'grace' },
    handleId: 'h2',
    protocol: 'postgres',
    upstream: 'orders-db',
    openedAtMs: bench.clock.nowMs(),
    peer: '127.0.0.1',
  })
  await ada.page.goto(`${listener.url}/live`)
  await expect.poll(() => ada.page.textContent('#stream')).toBe('Live')
  await bench.log.append({
    type: 'decision',
    atMs: bench.clock.nowMs(),
    agent: 'coder',
    session: 'session-7f3a',
    data: { outcome: 'deny', action: '<b>postgres.drop_table\u202E</b>' },
  })
  await expect.poll(() => ada.page.textContent('#feed li')).toContain('<b>postgres.drop_table⟦U+202E⟧</b>')
  await picture(ada, 'live')
  await ada.page.click('#sessions button >> nth=0')
  await expect.poll(() => ada.page.textContent('#sessions')).not.toContain('session-7f3a')
  expect(bench.kills.map(({ scope }) => scope)).toEqual([{ kind: 'session', id: 'session-7f3a' }])
  await expect.poll(() => ada.page.locator('#sessions tr').count()).toBe(1)
})

test('two tabs share one stream, and the second takes over when the first closes', async () => {
  const second = await ada.context.newPage()
  await second.goto(`${listener.url}/live`)
  await bench.log.append({ type: 'outcome', atMs: bench.clock.nowMs(), data: { result: 'first seen by both' } })
  await expect.poll(() => second.textContent('#feed')).toContain('first seen by both')
  await expect.poll(() => bench.log.followers).toBe(1)
  await ada.page.goto('about:blank')
  await expect.poll(() => second.textContent('#stream')).toBe('Live')
  await bench.log.append({ type: 'outcome', atMs: bench.clock.nowMs(), data: { result: 'seen by the second' } })
  await expect.poll(() => second.textContent('#feed')).toContain('seen by the second')
  await second.close()
  await expect.poll(() => bench.log.followers).toBe(0)
})

test('stop everything, then release it with a passkey', async () => {
  bench.kills.length = 0
  await ada.page.goto(`${listener.url}/live`)
  ada.page.once('dialog', (dialog) => void dialog.accept())
  await ada.page.click('text=Stop everything')
  await expect.poll(() => ada.page.textContent('main')).toContain('Everything is stopped')
  await picture(ada, 'live-stopped')
  await ada.page.click('text=Release with passkey')
  await expect.poll(() => bench.kills.length).toBe(0)
  await expect.poll(() => ada.page.textContent('main')).not.toContain('Everything is stopped')
  expect(bench.releases.at(-1)).toMatchObject({
    person: 'ada',
    statement: { purpose: 'sallyport release', scope: { kind: 'all' } },
  })
})

test.each(inDepth('a second person comes by invitation only, and both see the list'))('%s', async () => {
  await bench.ask()
  await bench.ask({
    operations: [
      {
        action: 'postgres.grant',
        kind: 'escalate',
        reversible: true,
        why: 'Gives a role to another.',
        resources: [],
        rows: null,
        bytes: null,
        tables: [],
        dependants: [],
      },
    ],
    environment: 'staging',
  })
  await ada.page.goto(`${listener.url}/people`)
  await ada.page.click('text=Make an invitation')
  await expect.poll(() => ada.page.textContent('output')).toContain('/enrol#')
  await picture(ada, 'people')
  grace = await browser.open()
  await grace.page.goto((await ada.page.textContent('output')) ?? '')
  await grace.page.fill('#name', 'Grace Hopper')
  await grace.page.click('button[type=submit]')
  await grace.page.waitForURL('**/requests')
  expect(await grace.page.textContent('main')).toContain('deletes 48,211 rows in 3 tables')
  await picture(grace, 'requests')
  expect(grace.complaints).toEqual([])
})

test.each(
  inDepth('in team mode a third person takes two: one invites, another confirms, and until then the link says what it waits for'),
)('%s', async () => {
  bench.state.mode = 'team'
  await ada.page.goto(`${listener.url}/people`)
  await ada.page.click('text=Make an invitation')
  await expect.poll(() => ada.page.textContent('output')).toContain('/enrol#')
  const link = (await ada.page.textContent('output')) ?? ''
  await picture(ada, 'people-invited')
  await ada.page.reload()
  expect(await ada.page.locator('text=Confirm with passkey').count()).toBe(0)
  await picture(ada, 'people-own')

  const third = await browser.open()
  await third.page.goto(link)
  await third.page.fill('#name', 'Katherine Johnson')
  await third.page.click('button[type=submit]')
  await expect.poll(() => third.page.textContent('[role=status]')).toContain('This invitation waits')
  await picture(third, 'enrol-waits')
  expect(await bench.ports.people.list()).toHaveLength(2)

  await grace.page.goto(`${listener.url}/people`, { waitUntil: 'networkidle' })
  // Markup alone; scripts and style are those of every page.
  expect((await grace.page.content()).length).toBeLessThan(15_000)
  await picture(grace, 'people-confirm')
  await grace.page.click('text=Confirm with passkey')
  await expect.poll(() => grace.page.textContent('main')).toContain('Confirmed by Grace Hopper')
  await picture(grace, 'people-confirmed')
  await third.page.click('button[type=submit]')
  await third.page.waitForURL('**/requests')
  expect((await bench.ports.people.list()).at(-1)?.admission).toEqual({ invitedBy: 'ada', confirmedBy: 'Grace Hopper' })
  expect([...grace.complaints, ...third.complaints].filter((line) => !line.includes('403'))).toEqual([])
  await third.close()
})

test.each(inDepth('an invitation is withdrawn by a button, and an owner whom nobody is enrolled as is named on top of the page'))(
  '%s',
  async () => {
    bench.state.owners.push({ agent: 'deployer', owner: 'linus' })
    await ada.page.goto(`${listener.url}/people`)
    await ada.page.click('text=Make an invitation')
    await expect.poll(() => ada.page.textContent('output')).toContain('/enrol#')
    await ada.page.reload()
    expect(await ada.page.textContent('[role=note]')).toContain('linus owns deployer, and nobody is enrolled under that name')
    await picture(ada, 'people-owner')
    await ada.page.click('text=Withdraw')
    await expect.poll(() => ada.page.textContent('main')).not.toContain('Open invitations')
    expect(await bench.ports.links.open(bench.clock.nowMs())).toEqual([])
    bench.state.owners.pop()
    bench.state.mode = 'solo'
  },
)

test('the verdict page is small, works by keyboard alone, and breaks no rule of its own', async () => {
  const request = await bench.ask()
  let bytes = 0
  ada.page.on(
    'response',
    (response) =>
      void response
        .body()
        .then((body) => (bytes += body.length))
        .catch(() => undefined),
  )
  await ada.page.goto(`${listener.url}/requests/${request.id}`, { waitUntil: 'networkidle' })
  expect(bytes).toBeGreaterThan(5_000)
  // Everything, scripts and style included, uncompressed; the budget of 15 KB is for what is sent, compressed or not.
  expect(bytes).toBeLessThan(25_000)
  await ada.page.focus('#reason')
  await ada.page.keyboard.type('by keyboard')
  await ada.page.keyboard.press('Tab')
  await ada.page.keyboard.press('Tab')
  await ada.page.keyboard.press('Enter')
  await expect.poll(() => ada.page.textContent('#state')).toContain('rejected')
  expect(ada.complaints).toEqual([])
})
