import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type BrowserPerson, startBrowser, type TestBrowser } from '../fakes/browser.ts'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { type PostgresServer, startPostgres } from '../servers/postgres.ts'
import { findBarriers } from './barriers.ts'

let postgres: PostgresServer
let gate: TestGate
let browser: TestBrowser
let ada: BrowserPerson

/** Agents write this: it stands in names, statements and reasons. */
const hostile = `<img src=x onerror=document.title='owned'>\u202Eelbat`

beforeAll(async () => {
  postgres = await startPostgres()
  gate = await startGate({
    postgres,
    mode: 'solo',
    coolOff: '0s',
    wait: '0ms',
    limits: { rowsWithoutPrompt: 5 },
    agents: {
      coder: { owner: 'ada', may: ['any orders-db'] },
      reporter: { owner: 'ada', may: ['read orders-db', 'write orders-db'] },
    },
  })
  await arrange(
    postgres,
    `CREATE TABLE orders (id int PRIMARY KEY, total int); INSERT INTO orders SELECT n, n FROM generate_series(1, 5000) n;
     CREATE TABLE "${hostile.replaceAll('"', '')}" (id int)`,
  )
  browser = await startBrowser()
  ada = await browser.open()
  await ada.page.goto(gate.enrolmentUrl ?? '')
  await ada.page.fill('#name', 'ada')
  await ada.page.click('button[type=submit]')
  await ada.page.waitForURL('**/requests')
})

afterAll(async () => {
  await browser?.stop()
  await gate?.stop()
  await postgres?.stop()
})

async function open(path: string): Promise<void> {
  await ada.page.goto(`${gate.controlUrl}${path}`)
  await ada.page.locator('main h1').waitFor()
}

/** On the approval page, with the passkey of this browser. */
async function approve(): Promise<void> {
  await ada.page.goto(`${gate.controlUrl}/requests/${await gate.pendingRequest('coder')}`)
  await ada.page.click('button[value=approve]')
  await ada.page.locator('#state', { hasText: /approved|may run/ }).waitFor()
}

async function expectNoBarriers(): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await ada.page.emulateMedia({ colorScheme })
    expect(await findBarriers(ada)).toEqual([])
  }
  await ada.page.emulateMedia({ colorScheme: 'light' })
}

async function tryText(change: (text: string) => string): Promise<void> {
  const box = ada.page.locator('#policy-text')
  await box.waitFor()
  await box.fill(change(await box.inputValue()))
  await ada.page.locator('button', { hasText: 'Try it' }).click()
}

describe('what people always approve', () => {
  test('is offered as undo instead of a prompt, rehearsed, proposed, and accepted with a passkey or not at all', async () => {
    const coder = await gate.connect('coder')
    for (const from of [100, 200, 300, 400, 500]) {
      await coder.run(`DELETE FROM orders WHERE id >= ${from} AND id < ${from + 10}`)
      await approve()
    }
    await open('/console/requests')
    await ada.page.locator('button', { hasText: '4 more like it' }).click()
    await expect.poll(() => ada.page.locator('[aria-label=Requests] a').count()).toBe(5)
    const offer = ada.page.locator('[data-relief=rows]')
    expect(await offer.textContent()).toContain('asked 5 times, 5 approved')
    await expectNoBarriers()
    await offer.locator('button').click()
    await expect.poll(() => new URL(ada.page.url()).pathname).toBe('/console/policy')
    await expect.poll(() => ada.page.inputValue('#policy-text')).toContain('"rowsWithoutPrompt": 10')
    await ada.page.locator('button', { hasText: 'Try it' }).click()
    await ada.page.locator('[data-trial=wider]').waitFor()
    expect(await ada.page.textContent('[data-trial]')).toContain('limits.rowsWithoutPrompt: from 5 to 10')
    // Of the five, each found the whole limit of its hour before the next one was asked.
    expect(await ada.page.textContent('[data-trial]')).toMatch(/would get through more easily/)
    await ada.page.locator('button', { hasText: 'Propose it' }).click()
    await ada.page.locator('text=people accept it with a passkey').waitFor()
    expect(gate.events().filter(({ type }) => type === 'configuration.proposed')).toMatchObject([{ data: { by: 'ada' } }])
    // Nothing changed: the next one asks.
    const asked = await coder.run('DELETE FROM orders WHERE id >= 600 AND id < 610')
    expect(asked.sqlState).not.toBe('00000')
    await ada.page.goto(`${gate.controlUrl}/configuration`)
    await ada.page.click('form[data-passkey] button[type=submit]')
    await ada.page.locator('.badge', { hasText: /^accepted$/ }).waitFor()
    expect(await ada.page.textContent('main')).toContain('Put the text below into')
    expect(gate.events().filter(({ type }) => type === 'configuration.accepted')).toHaveLength(1)
    await ada.page.click('button[data-post$="/withdraw"]')
    await ada.page.locator('text=Nothing waits').waitFor()
    expect(ada.complaints).toEqual([])
  })
})

describe('another policy, by keyboard alone', () => {
  test('what does not keep to what it expects cannot be proposed; what is left out is said', async () => {
    await open('/console/policy')
    await ada.page.locator('#policy-text').waitFor()
    await ada.page.focus('input[aria-label="An expectation"]')
    await ada.page.keyboard.type('reporter is refused destroy on orders-db')
    await ada.page.keyboard.press('Enter')
    await ada.page.locator('[data-holds=true]').waitFor()
    expect(await ada.page.inputValue('#policy-text')).toContain('reporter is refused destroy on orders-db')
    await tryText((text) => text.replace('"write orders-db"', '"any orders-db"'))
    await ada.page.locator('[data-holds=false]').waitFor()
    expect(await ada.page.locator('button', { hasText: 'Propose it' }).isDisabled()).toBe(true)
    expect(await ada.page.textContent('[role=status]:has-text("expectation")')).toContain('1 expectation would not hold')
    await expectNoBarriers()
    expect(ada.complaints).toEqual([])
  })

  test('hostile text of an agent stays text in the rehearsal, the inbox and the suggestions', async () => {
    const reporter = await gate.connect('reporter')
    await reporter.run(`DROP TABLE "${hostile}"`)
    const coder = await gate.connect('coder')
    for (const count of [1, 2, 3]) await coder.run(`DROP TABLE "${hostile}" -- ${count} ${hostile}`)
    await open('/console/policy')
    await tryText((text) => text.replace('"write orders-db"', '"any orders-db"'))
    await ada.page.locator('[data-trial=wider] [data-rehearsed]').waitFor()
    await open('/console/requests')
    await ada.page.locator('[data-relief=none]', { hasText: 'drop_table' }).waitFor()
    for (const path of ['/console/requests', '/console/policy']) {
      await open(path)
      await ada.page
        .locator(path.endsWith('policy') ? '#policy-text' : '[aria-label=Requests] a')
        .first()
        .waitFor()
      const main = (await ada.page.textContent('main')) ?? ''
      expect(main).not.toMatch(/[\u202A-\u202E\u2066-\u2069]/)
      expect(await ada.page.locator('main img, main script, a[href^="javascript:"]').count()).toBe(0)
      expect(await ada.page.title()).not.toContain('owned')
    }
    expect(ada.complaints).toEqual([])
  })
})

describe('the vault', () => {
  test('a restore is drilled from its page, and its progress is told to the end', async () => {
    await open('/console/vault')
    await ada.page.locator('button', { hasText: 'Copy now' }).click()
    await ada.page.locator('[data-job=done]').waitFor({ timeout: 120_000 })
    await ada.page.locator('button', { hasText: 'Drill a restore' }).click()
    await ada.page.locator('[data-job=done]', { hasText: /drill/i }).waitFor({ timeout: 120_000 })
    await expect.poll(() => ada.page.textContent('main')).toMatch(/✓ passed|✕ failed/)
    const drills = gate.events().filter(({ type, data }) => type === 'drill' && data['by'] === 'ada')
    expect(drills).toHaveLength(1)
    await expectNoBarriers()
    expect(ada.complaints).toEqual([])
  })

  test('nobody else begins it: no stranger, no other page', async () => {
    const post = (headers: Record<string, string>): Promise<number> =>
      ada.context.request
        .post(`${gate.controlUrl}/console/keeping`, { headers, data: { what: 'drill', name: 'orders-db' } })
        .then((answer) => answer.status())
    expect(await post({})).toBe(403)
    expect(await post({ origin: 'http://evil.example' })).toBe(403)
    const jobs = await ada.context.request.get(`${gate.controlUrl}/console/data/keeping/nothing`)
    expect([jobs.status(), z.object({ error: z.object({ code: z.string() }) }).parse(await jobs.json()).error.code]).toEqual([
      404,
      'unreadable',
    ])
  })
})
