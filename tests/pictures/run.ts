import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ProxyAgent, request } from 'undici'
import { z } from 'zod'
import { startBrowser, type BrowserPerson, type TestBrowser } from '../fakes/browser.ts'
import { HttpStandIn, jsonAnswer } from '../fakes/http-upstream.ts'
import { cloudAgent, cloudUrl, startCloudGate, type CloudGate } from '../servers/cloud-gate.ts'
import { arrange, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { renderedPages } from './rendered.ts'
import { stretchNow, stretchRequests } from './stretched.ts'

/**
 * `node tests/pictures/run.ts --out FOLDER [--only REGEX]`: every page that people see, of a real gate with something going on, at phone, laptop
 * and wide size, light and dark; then states that its story does not come to. To look at; nothing is compared.
 */
const { values } = parseArgs({ options: { out: { type: 'string', default: 'pictures' }, only: { type: 'string', default: '' } } })
const only = new RegExp(values.only)
const out = resolve(values.out)
mkdirSync(out, { recursive: true })

const volume = '0f7c3a52-6c1e-4d0b-9f0e-5d7c2a9b1e44'
const sizes = [
  ['phone', 390, 844],
  ['laptop', 1440, 900],
  ['wide', 2560, 1440],
] as const
const consolePages = ['now', 'requests', 'agents', 'upstreams', 'vault', 'log', 'policy', 'people'] as const

async function take({ page }: BrowserPerson, name: string): Promise<void> {
  if (!only.test(name)) return
  for (const [size, width, height] of sizes) {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.setViewportSize({ width, height })
      await page.emulateMedia({ colorScheme })
      await page.screenshot({ path: join(out, `${name}-${size}-${colorScheme}.png`), fullPage: true })
    }
  }
  await page.emulateMedia({ colorScheme: 'light' })
  const tooWide = await page.evaluate('document.documentElement.scrollWidth > document.documentElement.clientWidth')
  console.log(`${name}${tooWide === true ? ' (wider than its window)' : ''}`)
}

async function openConsole(gate: TestGate, { page }: BrowserPerson, name: string): Promise<void> {
  await page.goto(`${gate.controlUrl}/console/${name}`)
  await page.locator('h1,[role=alert]').first().waitFor()
  await page.locator('main', { hasNotText: 'Asking the gate' }).waitFor()
}

/** The console's pages; of the log, one entry with its proof. */
async function takeConsole(gate: TestGate, ada: BrowserPerson): Promise<void> {
  for (const name of consolePages) {
    await openConsole(gate, ada, name)
    await take(ada, `console-${name}`)
  }
  await openConsole(gate, ada, 'policy')
  await ada.page.locator('#policy-text').waitFor()
  const text = await ada.page.inputValue('#policy-text')
  const wider = text.replace('"read shop-db"', '"any shop-db"').replace('"limits":{}', '"limits":{"rowsWithoutPrompt":50000}')
  await ada.page.fill('#policy-text', wider)
  await ada.page.locator('button', { hasText: 'Try it' }).click()
  await ada.page.locator('[data-trial]').waitFor()
  await take(ada, 'console-policy-tried')
  await ada.page.goto(`${gate.controlUrl}/console/log?group=requests`)
  await ada.page.locator('a[href*="/console/log/"]').first().click()
  await ada.page.locator('button', { hasText: 'Check it in this browser' }).click()
  await ada.page.locator('[data-proof=holds],[data-proof=fails]').waitFor()
  await take(ada, 'console-log-entry')
  await openConsole(gate, ada, 'log?text=nothing-of-that-name')
  await ada.page.locator('text=Nothing found').waitFor()
  await take(ada, 'console-log-nothing')
  await openConsole(gate, ada, 'now')
  await ada.page.keyboard.press('x')
  await ada.page.locator('[role=alertdialog]').waitFor()
  await take(ada, 'console-stop')
  await ada.page.keyboard.press('Escape')
  await ada.page.keyboard.press('Control+k')
  await ada.page.locator('[role=combobox]').waitFor()
  await take(ada, 'console-palette')
  await ada.page.goto(`${gate.controlUrl}/console/nowhere`)
  await ada.page.locator('h1').waitFor()
  await take(ada, 'console-nowhere')
}

/** What the gate says, stretched; and what the page shows when it says nothing. */
async function takeStretched(gate: TestGate, ada: BrowserPerson): Promise<void> {
  const { page } = ada
  const stretch = async (name: string, change: (text: string) => object): Promise<void> => {
    const address = `**/console/data/${name}`
    await page.route(address, async (route) => route.fulfill({ json: change(await (await route.fetch()).text()) }))
    await openConsole(gate, ada, name)
    await take(ada, `console-${name}-busy`)
    await page.unroute(address)
  }
  await stretch('now', stretchNow)
  await stretch('requests', stretchRequests)
  await page.route('**/console/data/agents', (route) => route.abort())
  await page.route('**/console/stream*', (route) => route.abort())
  await openConsole(gate, ada, 'agents')
  await page.locator('text=The gate does not answer:').waitFor()
  await take(ada, 'console-silent')
  await page.unrouteAll()
}

/** Before any agent came. */
async function takeEmpty(gate: TestGate, ada: BrowserPerson): Promise<void> {
  for (const name of ['now', 'requests', 'agents', 'log'] as const) {
    await openConsole(gate, ada, name)
    await take(ada, `empty-console-${name}`)
  }
  for (const name of ['requests', 'sessions', 'vault', 'live'] as const) {
    await ada.page.goto(`${gate.controlUrl}/${name}`)
    await take(ada, `empty-${name}`)
  }
}

async function takeRendered(browser: TestBrowser): Promise<void> {
  const reader = await browser.open()
  for (const [name, document] of renderedPages) {
    await reader.page.setContent(document)
    await take(reader, name)
  }
  await reader.close()
}

const listShape = z.object({ requests: z.array(z.object({ id: z.string(), summary: z.string() })) })

/** The same question, answered yes each time; then the inbox as it is, and one of them, whose time counts down. */
async function takeDecided(gate: TestGate, ada: BrowserPerson): Promise<void> {
  const { requests } = await gate.get('/api/v1/requests', listShape)
  for (const { id } of requests.filter(({ summary }) => summary.includes('1,500 rows'))) {
    await ada.page.goto(`${gate.controlUrl}/requests/${id}`)
    await ada.page.click('button[value=approve]')
    await ada.page.locator('#state', { hasText: /approved|may run/ }).waitFor()
  }
  await ada.page.goto(`${gate.controlUrl}/console/requests`)
  await ada.page.locator('button', { hasText: 'more like it' }).click()
  await ada.page.locator('[aria-label=Requests] a').nth(3).click()
  await ada.page.locator('button', { hasText: 'Cancel it' }).waitFor()
  await take(ada, 'console-requests-decided')
}

async function makeGate(postgres: PostgresServer): Promise<CloudGate<HttpStandIn>> {
  const cloud = await startCloudGate({
    postgres,
    standIn: (leaf) => new HttpStandIn(leaf),
    realToken: 'real-token-of-the-account-1234567890',
    mode: 'solo',
    coolOff: '15m',
    upstreams: { 'shop-db': {} },
    agents: {
      [cloudAgent]: { owner: 'ada', may: ['any shop-db', 'any cloud'] },
      helper: { owner: 'ada', may: ['read shop-db'] },
    },
    tied: { [volume]: 'shop-db' },
  })
  cloud.standIn.answer = () => jsonAnswer({ data: { projects: { edges: [] } } })
  await arrange(
    postgres,
    `CREATE TABLE customers (id int PRIMARY KEY, name text);
     CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, total numeric);
     CREATE VIEW sales AS SELECT customer, sum(total) FROM orders GROUP BY 1;
     INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 4000) n;
     INSERT INTO orders SELECT n, 1 + n % 4000, n FROM generate_series(1, 48211) n`,
  )
  return cloud
}

async function call(gate: TestGate, handle: string, body: object, headers: Record<string, string> = {}): Promise<string> {
  const agent = new ProxyAgent({
    uri: `http://${cloudAgent}:${handle}@127.0.0.1:${gate.httpPort}`,
    requestTls: { ca: readFileSync(join(gate.directory, 'authority', 'ca.pem'), 'utf8') },
  })
  const answer = await request(cloudUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    dispatcher: agent,
  })
  const text = await answer.body.text()
  await agent.close()
  return text
}

const pendingShape = z.object({ errors: z.tuple([z.object({ extensions: z.object({ requestId: z.string() }) })]) })

async function makeStory(gate: TestGate): Promise<{ readonly volumeRequest: string; readonly handle: string }> {
  const handle = await gate.issue('coder')
  const coder = await gate.connect('coder', { handle })
  const helper = await gate.connect('helper', { database: 'shop-db' })
  await coder.run('SELECT count(*) FROM orders WHERE total > 100')
  await coder.run('UPDATE orders SET total = 12 WHERE id = 7')
  await helper.run('SELECT name FROM customers WHERE id = 1')
  await helper.run('DROP TABLE customers')
  await call(gate, handle, { query: '{ me { id } }' }, { authorization: 'Bearer 5c1f2b7e-0c1d-4a57-8f8e-3f1b2a9c7d10' })
  const query = `mutation { volumeDelete(volumeId: "${volume}") }`
  const volumeRequest = pendingShape.parse(JSON.parse(await call(gate, handle, { query }))).errors[0].extensions.requestId
  // The same question again and again, and one of another table.
  for (const from of [1, 2, 3, 4, 5])
    await coder.run(`DELETE FROM orders WHERE id > ${from * 5000} AND id <= ${from * 5000 + 1500} -- tidy up`)
  await coder.run('DROP TABLE orders CASCADE')
  return { volumeRequest, handle }
}

async function walk(gate: TestGate, ada: BrowserPerson, volumeRequest: string): Promise<void> {
  const { page } = ada
  const open = async (path: string): Promise<void> => void (await page.goto(`${gate.controlUrl}${path}`))
  await open('/requests')
  await take(ada, 'requests')
  const dropped = await gate.pendingRequest('coder')
  await open(`/requests/${dropped}`)
  await take(ada, 'request-table')
  await open(`/requests/${volumeRequest}`)
  await take(ada, 'request-volume')
  await page.click('button[value=approve]')
  await page.locator('#state', { hasText: /approved|may run/ }).waitFor()
  await open(`/requests/${volumeRequest}`)
  await take(ada, 'request-volume-approved')
  await open('/live')
  await take(ada, 'live')
  await open('/sessions')
  await take(ada, 'sessions')
  await page.locator('main a[href^="/sessions/"]').last().click()
  await page.locator('h1', { hasText: ' on ' }).waitFor()
  await take(ada, 'session')
  await open('/vault')
  await take(ada, 'vault')
  await open('/people')
  await take(ada, 'people')
  await page.click('text=Make an invitation')
  await page.locator('output', { hasText: '/enrol#' }).waitFor()
  await open('/people')
  await take(ada, 'people-invited')
  await open('/people/me')
  await take(ada, 'passkeys')
  await page.click('button[type=submit]')
  await page.fill('#name', 'the key on my keyring')
  await take(ada, 'passkey-new')
  await open('/configuration')
  await take(ada, 'configuration')
  const written = readFileSync(gate.configuration, 'utf8')
  writeFileSync(
    gate.configuration,
    written.replace('"read shop-db"', '"any shop-db",\n        "read cloud"').replace('"15m"', '"1m"'),
  )
  await page.click('button[data-post="/configuration/reread"]')
  await page.locator('form[data-passkey]').waitFor()
  await take(ada, 'configuration-wider')
  await page.click('button[type=submit]')
  await page.locator('.badge', { hasText: /^accepted$/ }).waitFor()
  await take(ada, 'configuration-accepted')
  await gate.post('/api/v1/kill', { kind: 'agent', id: 'coder', reason: 'it does what nobody asked for' }, z.unknown())
  await open('/live')
  await take(ada, 'live-killed')
  await gate.post('/api/v1/kill', { kind: 'all', id: '*', reason: 'nobody knows what it does' }, z.unknown())
  await openConsole(gate, ada, 'now')
  await page.locator('[aria-label=Stopped]').first().waitFor()
  await take(ada, 'console-now-killed')
  await openConsole(gate, ada, 'requests')
  await take(ada, 'console-requests-killed')
  await open('/requests/nothing-of-that-name')
  await take(ada, 'problem')
}

async function takeSignIn(gate: TestGate, browser: TestBrowser): Promise<void> {
  const stranger = await browser.open()
  for (const name of ['sign-in', 'restore'] as const) {
    await stranger.page.goto(`${gate.controlUrl}/${name}`)
    await take(stranger, name)
  }
  await stranger.close()
}

const postgres = await startPostgres()
const browser = await startBrowser()
try {
  await takeRendered(browser)
  const cloud = await makeGate(postgres)
  const { gate } = cloud
  try {
    const ada = await browser.open()
    const link = gate.enrolmentUrl
    if (link === null) throw new Error('this gate gave no link to enrol')
    await ada.page.goto(link)
    await take(ada, 'enrol')
    await ada.page.fill('#name', 'ada')
    await ada.page.click('button[type=submit]')
    await ada.page.waitForURL('**/requests')
    await takeSignIn(gate, browser)
    await takeEmpty(gate, ada)
    const { volumeRequest } = await makeStory(gate)
    await takeConsole(gate, ada)
    await takeStretched(gate, ada)
    await takeDecided(gate, ada)
    await walk(gate, ada, volumeRequest)
    if (ada.complaints.length > 0) throw new Error(ada.complaints.join('\n'))
  } finally {
    await cloud.stop()
  }
} finally {
  await browser.stop()
  await postgres.stop()
}
