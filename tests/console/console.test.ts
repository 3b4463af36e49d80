import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type BrowserPerson, startBrowser, type TestBrowser } from '../fakes/browser.ts'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { type PostgresServer, startPostgres } from '../servers/postgres.ts'
import { casesOf, inDepth } from '../breadth.ts'
import { findBarriers } from './barriers.ts'

let postgres: PostgresServer
let gate: TestGate
let browser: TestBrowser
let ada: BrowserPerson
let request: string
let session: string

/** Agents write this. Shown as it is, it would run, reorder what stands beside it, or hide. */
const hostile = `DROP TABLE orders -- \u202Eelbat eht peek\u202C </script><img src=x onerror="document.title='owned'"><a href="javascript:alert(1)">x</a>`
const pages = ['now', 'requests', 'agents', 'upstreams', 'vault', 'log', 'policy', 'people'] as const

beforeAll(async () => {
  postgres = await startPostgres()
  gate = await startGate({
    postgres,
    mode: 'solo',
    wait: '1s',
    agents: {
      coder: { owner: 'ada', may: ['any orders-db'] },
      reporter: { owner: 'ada', may: ['read orders-db', 'postgres.update orders-db'] },
    },
  })
  await arrange(
    postgres,
    'CREATE TABLE orders (id int PRIMARY KEY, total int); INSERT INTO orders SELECT n, n FROM generate_series(1, 5000) n',
  )
  browser = await startBrowser()
  ada = await browser.open()
  await ada.page.goto(gate.enrolmentUrl ?? '')
  await ada.page.fill('#name', 'ada')
  await ada.page.click('button[type=submit]')
  await ada.page.waitForURL('**/requests')
  const coder = await gate.connect('coder')
  const reporter = await gate.connect('reporter')
  await reporter.run('SELECT count(*) FROM orders')
  await coder.run('UPDATE orders SET total = 12 WHERE id = 7')
  await coder.run('DELETE FROM orders WHERE id = 8')
  await reporter.run('DELETE FROM orders')
  await coder.run(hostile)
  request = await gate.pendingRequest('coder')
  session = gate.events().find(({ type }) => type === 'session.opened')?.session ?? ''
})

afterAll(async () => {
  await browser?.stop()
  await gate?.stop()
  await postgres?.stop()
})

async function open(path: string): Promise<void> {
  await ada.page.goto(`${gate.controlUrl}${path}`)
  await ada.page.locator('main').waitFor()
}

/** In both colour schemes. All but contrast is the same in both. */
async function expectNoBarriers(path: string): Promise<void> {
  await ada.page.emulateMedia({ colorScheme: 'light' })
  const light = await findBarriers(ada)
  // In npm test the light scheme alone, on a few pages: contrast in the dark one is looked at by the long proof.
  if (inDepth('dark').length === 0) return expect([path, ...light]).toEqual([path])
  await ada.page.emulateMedia({ colorScheme: 'dark' })
  const dark = await findBarriers(ada, { runOnly: ['color-contrast'] })
  await ada.page.setViewportSize({ width: 390, height: 844 })
  const phone = [...(await findBarriers(ada)), ...(await findOverflow())]
  await ada.page.setViewportSize({ width: 1280, height: 800 })
  await ada.page.emulateMedia({ colorScheme: 'light' })
  expect([path, ...light, ...dark, ...phone]).toEqual([path])
}

/** A page that is wider than a phone hides what stands at its right. */
async function findOverflow(): Promise<readonly string[]> {
  const tooWide = await ada.page.evaluate('document.documentElement.scrollWidth > document.documentElement.clientWidth')
  return tooWide === true ? ['wider than a phone'] : []
}

describe('each page opens on a real gate, and axe finds nothing', () => {
  const words: Readonly<Record<(typeof pages)[number], string>> = {
    now: 'DROP TABLE orders',
    requests: 'The exact statement',
    agents: 'May read what is on orders-db',
    upstreams: 'What destroys asks first'.toLowerCase(),
    vault: 'orders-db',
    log: 'gate started',
    policy: 'destroy-needs-person',
    people: 'enrolled first, from the terminal',
  }
  test.each(pages)('%s', async (page) => {
    await open(`/console/${page}`)
    await expect.poll(async () => (await ada.page.textContent('main'))?.toLowerCase()).toContain(words[page].toLowerCase())
    await expect.poll(() => ada.page.title()).toMatch(new RegExp(`^${page}`, 'i'))
    expect(await ada.page.getAttribute('nav a[aria-current=page]', 'href')).toBe(`/console/${page}`)
    if (casesOf(pages, 2).includes(page)) await expectNoBarriers(page)
    expect(ada.complaints).toEqual([])
  })

  const rendered = [
    '/requests/ID',
    '/requests',
    '/live',
    '/sessions',
    '/sessions/ID',
    '/vault',
    '/people',
    '/people/me',
    '/configuration',
    '/nothing',
  ]
  test.each(casesOf(rendered, 2))('the page %s, which the gate renders itself', async (path) => {
    await open(path.replace('ID', path.startsWith('/sessions') ? session : request))
    await expectNoBarriers(path)
    expect(await ada.page.locator('script[src*=console]').count()).toBe(0)
  })
})

test('who acts on what is said by agent and upstream, with what was refused and what waits', async () => {
  await open('/console/now')
  const reporter = ada.page.locator('[data-acting=reporter]')
  await expect.poll(() => reporter.textContent()).toMatch(/reporter.*for ada.*orders-db.*production.*1 refused.*1 read/)
  expect(await ada.page.locator('[data-acting=coder]').textContent()).toMatch(/1 waiting.*write/)
  await ada.page.locator('[aria-label="Refused, and alarms"] a', { hasText: 'reporter was refused' }).waitFor()
  await expect.poll(() => ada.page.title()).toContain('(1 waiting)')
})

test('another policy is tried beside the one in force, and nothing is changed by it', async () => {
  await open('/console/policy')
  const box = ada.page.locator('#policy-text')
  await box.waitFor()
  await box.fill((await box.inputValue()).replace('"read orders-db"', '"write orders-db"'))
  await ada.page.focus('#policy-text')
  await ada.page.locator('button', { hasText: 'Try it' }).press('Enter')
  await ada.page.locator('[data-trial=wider]').waitFor()
  expect(await ada.page.textContent('[data-trial=wider]')).toContain('agents: reporter may do more: write orders-db')
  expect(Number(await ada.page.getAttribute('[data-rehearsed]', 'data-rehearsed'))).toBeGreaterThan(0)
  expect(gate.events().filter(({ type }) => type === 'configuration.proposed')).toEqual([])
  expect(ada.complaints).toEqual([])
})

describe('text of an agent', () => {
  test.each(casesOf([...pages.map((page) => `/console/${page}`), '/console/log?text=onerror', '/console/requests/ID'], 4))(
    'neither runs nor reorders nor becomes a link on %s',
    async (path) => {
      await open(path.replace('ID', request))
      await ada.page.locator('main h1').waitFor()
      // There, where the agent's text is on the page at all, it is written out.
      const wanted = /now|requests|log/.test(path) ? '⟦U+202E⟧' : ''
      await expect.poll(() => ada.page.textContent('main')).toContain(wanted)
      const main = (await ada.page.textContent('main')) ?? ''
      expect(main).not.toMatch(/[\u202A-\u202E\u2066-\u2069]/)
      expect(await ada.page.title()).not.toContain('owned')
      expect(await ada.page.locator('main img, main script, a[href^="javascript:"]').count()).toBe(0)
      expect(ada.complaints).toEqual([])
    },
  )
})

describe('by keyboard alone', () => {
  const press = async (...keys: readonly string[]): Promise<void> => {
    for (const key of keys) await ada.page.keyboard.press(key)
  }

  test('every page is reached by two keys, and by the palette', async () => {
    await open('/console/now')
    for (const [key, page] of [
      ['r', 'requests'],
      ['a', 'agents'],
      ['u', 'upstreams'],
      ['v', 'vault'],
      ['l', 'log'],
      ['p', 'policy'],
      ['e', 'people'],
      ['n', 'now'],
    ] as const) {
      await press('g', key)
      await expect.poll(() => new URL(ada.page.url()).pathname).toBe(`/console/${page}`)
    }
    await press('Control+k')
    await ada.page.locator('[role=combobox]').waitFor()
    await ada.page.keyboard.type('vau')
    await press('Enter')
    await expect.poll(() => new URL(ada.page.url()).pathname).toBe('/console/vault')
  })

  test.each(inDepth('what is typed into a field goes to no page, and stops nothing'))('%s', async () => {
    await open('/console/log')
    await ada.page.focus('input[type=search]')
    await ada.page.keyboard.type('gnx')
    expect(await ada.page.inputValue('input[type=search]')).toBe('gnx')
    expect(await ada.page.locator('[role=alertdialog]').count()).toBe(0)
    expect(new URL(ada.page.url()).pathname).toBe('/console/log')
  })

  test.each(inDepth('the inbox is stepped through, and Enter opens the approval page'))('%s', async () => {
    await open('/console/requests')
    await ada.page.locator('text=The exact statement').waitFor()
    await press('j')
    await expect.poll(() => new URL(ada.page.url()).pathname).toContain('/console/requests/')
    await press('Enter')
    await expect.poll(() => new URL(ada.page.url()).pathname).toBe(`/requests/${request}`)
  })

  test('an entry is found, and its proof is checked by the browser against the signed checkpoint', async () => {
    await open('/console/log')
    await ada.page.focus('input[type=search]')
    await ada.page.keyboard.type('update orders')
    await press('Enter')
    const link = ada.page.locator('a[href*="/console/log/"]', { hasText: 'intent' }).first()
    await link.waitFor()
    await link.focus()
    await press('Enter')
    const check = ada.page.locator('button', { hasText: 'Check it in this browser' })
    await check.waitFor()
    expect(await ada.page.textContent('main')).toContain('outcome')
    // The newest entries are covered by the next checkpoint, a second later.
    await expect
      .poll(async () => {
        await check.focus()
        await press('Enter')
        await ada.page.locator('[data-proof]').waitFor()
        return ada.page.getAttribute('[data-proof]', 'data-proof')
      })
      .toBe('holds')
    expect(await ada.page.textContent('[data-proof]')).toContain('The log’s key signed that root')
    expect(ada.complaints).toEqual([])
  })

  test('everything is stopped after one more question, asked by one key on any page, and released with a passkey', async () => {
    await open('/console/upstreams')
    const stop = ada.page.locator('button', { hasText: 'Stop everything' })
    await stop.waitFor()
    await press('x')
    await ada.page.locator('[role=alertdialog]').waitFor()
    await press('Escape')
    await expect.poll(() => ada.page.locator('[role=alertdialog]').count()).toBe(0)
    expect(gate.events().filter(({ type }) => type === 'kill')).toEqual([])
    await open('/console/now')
    await stop.focus()
    await press('Enter')
    const sure = ada.page.locator('[role=alertdialog] button', { hasText: 'Stop now' })
    await sure.waitFor()
    for (const question of inDepth('the question before a kill')) await expectNoBarriers(question)
    // What answers yes has the focus: two keys stop everything.
    await expect.poll(() => ada.page.evaluate('document.activeElement?.textContent')).toContain('Stop now')
    await press('Enter')
    const stopped = ada.page.locator('[aria-label=Stopped]')
    await stopped.waitFor()
    expect(await stopped.textContent()).toContain('Everything is stopped')
    // Whoever is on another page sees it there.
    await press('g', 'v')
    await ada.page.locator('header a', { hasText: 'Everything is stopped' }).waitFor()
    await press('g', 'n')
    await stopped.waitFor()
    await stopped.locator('button').focus()
    await press('Enter')
    await expect.poll(() => stopped.count()).toBe(0)
    expect(
      gate
        .events()
        .filter(({ type }) => type === 'kill' || type === 'release')
        .map(({ type }) => type),
    ).toEqual(['kill', 'release'])
  })
})

test('what agents do is counted as it happens, and the counts are those of the log', async () => {
  await open('/console/now')
  await expect.poll(() => ada.page.getAttribute('[data-stream]', 'data-stream')).toBe('live')
  const before = Number((await ada.page.textContent('[data-count=write]'))?.replaceAll(',', ''))
  const coder = await gate.connect('coder')
  for (let id = 100; id < 120; id += 1) await coder.run(`UPDATE orders SET total = 1 WHERE id = ${id}`)
  await coder.close()
  await expect.poll(async () => Number((await ada.page.textContent('[data-count=write]'))?.replaceAll(',', ''))).toBe(before + 20)
})

test('who is not signed in is shown nothing, and another page cannot ask', async () => {
  const stranger = await browser.open()
  for (const page of pages) {
    const data = await stranger.context.request.get(`${gate.controlUrl}/console/data/${page}`)
    expect([page, data.status()]).toEqual([page, 401])
  }
  await stranger.page.goto(`${gate.controlUrl}/console/log`)
  expect(stranger.page.url()).toBe(`${gate.controlUrl}/sign-in?next=%2Fconsole%2Flog`)
  await expect(stranger.context.request.get(`${gate.controlUrl}/console/stream`).then((answer) => answer.status())).resolves.toBe(
    401,
  )
  await stranger.close()
  const forged = await ada.context.request.get(`${gate.controlUrl}/console/data/now`, {
    headers: { 'sec-fetch-site': 'same-site' },
  })
  expect(forged.status()).toBe(403)
})
