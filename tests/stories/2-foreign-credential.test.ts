import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FormData, ProxyAgent, request } from 'undici'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import type { Event } from '@sallyport/core'
import { startBrowser, type BrowserPerson, type TestBrowser } from '../fakes/browser.ts'
import { runCommandLine } from '../fakes/command-line.ts'
import type { HttpPerson } from '../fakes/http-person.ts'
import { HttpStandIn } from '../fakes/http-upstream.ts'
import { cloudAgent, cloudHost, cloudUrl, startCloudGate, type CloudGate, type Curled } from '../servers/cloud-gate.ts'
import { arrange } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { eventsOf, patience, textOf } from './evidence.ts'
import { enrolOnPage } from './page.ts'
import { findSecrets, formsOf } from './secrets.ts'
import { carried, misuses, type Carried } from './stray-tokens.ts'
import { openTap, type Tap } from './tap.ts'
import { casesOf, roundsOf } from '../breadth.ts'

vi.setConfig(patience)

const realToken = `real-${randomUUID()}`
let postgres: PostgresServer
/** Between the gate and the database. */
let wire: Tap
let cloud: CloudGate<HttpStandIn>
let browser: TestBrowser
let watcher: BrowserPerson
let ada: HttpPerson
let handle: string
let folder: string
/** Every token that was carried by anybody. */
const tokens: string[] = []
/** Everything that agents got for an answer. */
const answers: string[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sp-story-2-'))
  postgres = await startPostgres()
  wire = await openTap(postgres.port)
  cloud = await startCloudGate({
    postgres,
    upstreams: { 'orders-db': { port: wire.port } },
    realToken,
    standIn: (leaf) => new HttpStandIn(leaf),
  })
  // As the extension's own, but that it goes nowhere.
  await arrange(postgres, "CREATE FUNCTION dblink_connect(text) RETURNS text LANGUAGE sql AS 'SELECT $1'")
  handle = await cloud.gate.issue(cloudAgent)
  ada = await cloud.gate.person('ada')
  browser = await startBrowser()
  watcher = await browser.open()
  await enrolOnPage(watcher, await ada.invite(), 'bob')
  await watcher.page.goto(`${cloud.gate.controlUrl}/live`)
})

afterAll(async () => {
  await browser?.stop()
  await cloud?.stop()
  await wire?.close()
  await postgres?.stop()
  rmSync(folder, { recursive: true, force: true })
})

beforeEach(() => cloud.standIn.reset())

const alarms = (): readonly Event[] => eventsOf(cloud.gate, 'alarm')
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const problemShape = z.object({ code: z.string(), title: z.string(), notDone: z.string() })

/** The one alarm that came since `before`, once it is on the log's disk. */
async function alarmSince(before: number): Promise<Event | undefined> {
  await vi.waitFor(() => expect(alarms().length).toBeGreaterThan(before), { timeout: 60_000, interval: 10 })
  expect(alarms()).toHaveLength(before + 1)
  return alarms().at(-1)
}

/** That it was refused as foreign, nothing of it arrived, and the alarm names the place. */
async function expectRefused(
  asked: () => Promise<{ status: number; body: string }>,
  kind = 'foreign_credential',
): Promise<Event> {
  const before = alarms().length
  const answer = await asked()
  answers.push(answer.body)
  expect(answer.status, answer.body).toBe(403)
  expect(problemShape.parse(JSON.parse(answer.body))).toMatchObject({
    code: 'foreign_credential',
    notDone: 'Nothing was sent upstream.',
  })
  expect(Buffer.concat(cloud.standIn.bytes)).toHaveLength(0)
  const alarm = await alarmSince(before)
  expect(alarm).toMatchObject({ agent: cloudAgent, data: { kind, upstream: 'cloud' } })
  if (alarm === undefined) throw new Error('no alarm')
  return alarm
}

function curl({ args, body }: Pick<Carried, 'args' | 'body'>): Promise<Curled> {
  const file = join(folder, 'body')
  if (body !== undefined) writeFileSync(file, body)
  return cloud.curl(handle, ...args.map((word) => word.replace('@BODY', `@${file}`)))
}

/** As an SDK does it: one client, a proxy from its settings, JSON in and out. */
async function sdk(init: {
  headers?: Record<string, string>
  body: string | FormData
}): Promise<{ status: number; body: string }> {
  const dispatcher = new ProxyAgent({
    uri: `http://${cloudAgent}:${handle}@127.0.0.1:${cloud.gate.httpPort}`,
    requestTls: { ca: cloud.authority },
  })
  try {
    const answer = await request(cloudUrl, { method: 'POST', dispatcher, headers: init.headers ?? null, body: init.body })
    return { status: answer.statusCode, body: await answer.body.text() }
  } finally {
    await dispatcher.close()
  }
}

describe('Promise 2, wherever the gate is on the way: a credential that Sallyport did not issue goes nowhere through it', () => {
  it.each(casesOf(carried, 36))('$name', async ({ token, place, args, body }) => {
    tokens.push(token)
    const alarm = await expectRefused(() => curl({ args, ...(body === undefined ? {} : { body }) }))
    expect(textOf(alarm, 'place')).toMatch(place)
  })

  it('in a trailer, after a body that holds nothing', async () => {
    const token = randomUUID()
    tokens.push(token)
    const head = `POST /graphql/v2 HTTP/1.1\r\nHost: ${cloudHost}\r\nTransfer-Encoding: chunked\r\n\r\n`
    const alarm = await expectRefused(() => cloud.raw(handle, `${head}2\r\n{}\r\n0\r\nX-Api-Key: ${token}\r\n\r\n`))
    expect(textOf(alarm, 'place')).toBe('trailer x-api-key')
  })

  it('by an SDK: as its bearer, in a variable, in a form', async () => {
    for (const make of [
      (token: string) => ({ headers: { authorization: `Bearer ${token}` }, body: '{"query":"{ me { id } }"}' }),
      (token: string) => ({
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query: 'mutation($t: String!) { login(token: $t) }', variables: { t: token } }),
      }),
      (token: string) => {
        const body = new FormData()
        body.append('apiKey', token)
        return { body }
      },
    ]) {
      const token = randomUUID()
      tokens.push(token)
      await expectRefused(() => sdk(make(token)))
    }
  })

  it('the handle of another agent, or one that has ended, is foreign too', async () => {
    const other = await cloud.gate.issue(cloudAgent)
    tokens.push(other)
    const alarm = await expectRefused(() => cloud.curl(handle, '--oauth2-bearer', other, cloudUrl))
    expect(alarm.data['tokenSha256']).toBe(sha256(other))
  })

  it.each(Object.entries(misuses))('nor does the agent’s own handle go any further: %s', async (_name, make) => {
    tokens.push(handle)
    const { place, args, body } = make(handle)
    const alarm = await expectRefused(() => curl({ args, ...(body === undefined ? {} : { body }) }))
    expect(textOf(alarm, 'place')).toMatch(place)
  })

  it('where a handle belongs, a token opens nothing, and is not written down', async () => {
    const token = randomUUID()
    tokens.push(token)
    for (const [user, secret] of [
      [cloudAgent, token],
      [token, 'x'],
    ]) {
      const proxy = `http://${user}:${secret}@127.0.0.1:${cloud.gate.httpPort}`
      const answer = await cloud.curl(handle, '--proxy', proxy, cloudUrl)
      answers.push(answer.said)
      expect(answer.status).not.toBe(200)
    }
    expect(Buffer.concat(cloud.standIn.bytes)).toHaveLength(0)
  })
})

describe('in SQL: a password with which the database would log in elsewhere', () => {
  const ways: Readonly<Record<string, (password: string) => readonly [sql: string, values?: readonly unknown[]]>> = {
    dblink: (password) => [`SELECT * FROM dblink('host=far user=app password=${password}', 'DROP TABLE orders') AS t(a int)`],
    'dblink by URL': (password) => [`SELECT dblink_connect('postgres://app:${password}@far/shop')`],
    'dblink, prepared': (password) => [`SELECT dblink_connect('host=far password=${password}'), $1::int`, [1]],
    'dblink, bound': (password) => ['SELECT dblink_connect($1)', [`host=far password=${password}`]],
    'behind a harmless statement': (password) => [`SELECT 1; SELECT dblink_connect('host=far password=${password}')`],
    'a subscription': (password) => [`CREATE SUBSCRIPTION s CONNECTION 'host=far password=${password}' PUBLICATION p`],
    'a user mapping': (password) => [`CREATE USER MAPPING FOR app_use SERVER far OPTIONS (user 'app', password '${password}')`],
  }
  it.each(Object.entries(ways))('%s', async (_name, write) => {
    const password = `hunter-${randomUUID()}`
    tokens.push(password)
    const connection = await cloud.gate.connect(cloudAgent, { handle, database: 'orders-db' })
    await connection.run('SELECT 1')
    const before = { alarms: alarms().length, arrived: wire.said().length }
    const [sql, values] = write(password)
    const { sqlState, message } = await connection.run(sql, values)
    answers.push(message)
    expect({ sqlState, message }).toMatchObject({ sqlState: '42501', message: expect.stringContaining('did not issue') })
    expect((await alarmSince(before.alarms))?.data).toMatchObject({ kind: 'foreign_credential', upstream: 'orders-db' })
    expect(wire.said().subarray(before.arrived).includes(password)).toBe(false)
    expect(await connection.run('SELECT 2 AS two')).toMatchObject({ rows: [{ two: 2 }] })
    await connection.close()
  })

  it('and as the password of a connection it opens nothing', async () => {
    const password = randomUUID()
    tokens.push(password)
    await expect(cloud.gate.connect(cloudAgent, { handle: password, database: 'orders-db' })).rejects.toThrow(
      /authentication|password/,
    )
    expect(eventsOf(cloud.gate, 'door.refused').length).toBeGreaterThan(0)
  })
})

describe('what is no credential goes through', () => {
  const uuid = '7b3f1a52-9c1d-4f8a-8f0e-2d6c5b4a3918'
  const commit = 'f00dfeedc0ffee0123456789abcdef0123456789'
  const post = (query: string, variables: unknown = {}): Pick<Carried, 'args' | 'body'> => ({
    args: ['--header', 'Content-Type: application/json', '--data-binary', '@BODY', cloudUrl],
    body: JSON.stringify({ query, variables }),
  })
  const reads: Readonly<Record<string, Pick<Carried, 'args' | 'body'>>> = {
    'the own handle, as bearer': { ...post('{ me { id } }'), args: ['--oauth2-bearer', 'HANDLE', ...post('').args] },
    'the own handle, as Basic': { ...post('{ me { id } }'), args: ['--user', `${cloudAgent}:HANDLE`, ...post('').args] },
    'ids of volumes and projects': post(
      `query($id: String!) { project(id: $id) { id name } volumeInstance(id: "${uuid}") { id } }`,
      {
        id: uuid,
      },
    ),
    'ids of tokens': post('query($tokenId: String) { me { id } }', { tokenId: uuid, tokenName: 'deploy' }),
    'commits and hashes': post('{ me { id } }', {
      commitSha: commit,
      sha256: commit + commit.slice(0, 24),
      etag: `W/"${commit}"`,
    }),
    'places in a list': post('{ projects(first: 10, after: "Y3Vyc29yOnYyOpHOAAABBB==") { edges { node { id } } } }'),
    'headers of tracing and repetition': {
      ...post('{ me { email } }'),
      args: [
        `Idempotency-Key: ${uuid}`,
        `X-Request-Id: ${uuid}`,
        `Traceparent: 00-${commit.slice(0, 32)}-${commit.slice(0, 16)}-01`,
      ]
        .flatMap((line) => ['--header', line])
        .concat(post('').args),
    },
    'an alias called token': post('{ token: me { id } secret: projects { edges { node { id } } } }'),
    'words about tokens': post('{ me { id } }', { note: 'the token and the password: ask your owner', token: 'none' }),
    'references to secrets': post('{ me { id } }', { password: '${{Postgres.PASSWORD}}', secret: '<your secret>' }),
  }
  it.each(casesOf(Object.entries(reads), 6))('%s', async (_name, { args, body = '' }) => {
    const before = alarms().length
    const answer = await curl({ args: args.map((word) => word.replace('HANDLE', handle)), body })
    expect(answer.status, answer.said).toBe(200)
    expect(answer.body).toBe('{"data":{"ok":true}}')
    const [received, ...more] = cloud.standIn.received
    expect(more).toEqual([])
    expect(received?.body.toString()).toBe(body)
    expect(received?.headers.filter(([name]) => name === 'authorization')).toEqual([['authorization', `Bearer ${realToken}`]])
    expect(cloud.standIn.text()).not.toContain(handle)
    expect(alarms()).toHaveLength(before)
  })
})

describe('a canary, planted by `sallyport scan --canary`', () => {
  let token: string
  let file: string

  async function plant(name: string): Promise<void> {
    const workspace = join(folder, name)
    mkdirSync(workspace)
    const words = ['scan', workspace, '--canary', '--json', '--state', cloud.gate.directory, '--config', cloud.gate.configuration]
    const { code, output, errors } = await runCommandLine(words, { folder })
    expect(code, errors).toBe(0)
    file = z.object({ canary: z.object({ file: z.string() }) }).parse(JSON.parse(output)).canary.file
    token = /=(.*)\n$/.exec(readFileSync(file, 'utf8'))?.[1] ?? ''
    expect(token).toHaveLength(36)
    tokens.push(token)
    expect(output + errors).not.toContain(token)
  }
  beforeAll(() => plant('first'))

  const json = ['--header', 'Content-Type: application/json']
  const places: Readonly<Record<string, (token: string) => Pick<Carried, 'args' | 'body'>>> = {
    'as a bearer': (found) => ({ args: ['--oauth2-bearer', found, cloudUrl] }),
    'as the user of Basic': (found) => ({ args: ['--user', `${found}:x`, cloudUrl] }),
    'in a cookie': (found) => ({ args: ['--cookie', `a=b; c=${found}`, cloudUrl] }),
    'in any header': (found) => ({ args: ['--header', `X-Request-Id: ${found}`, cloudUrl] }),
    'in the name of a header': (found) => ({ args: ['--header', `X-${found}: 1`, cloudUrl] }),
    'in any parameter': (found) => ({ args: [`${cloudUrl}?id=${found}`] }),
    'in the path': (found) => ({ args: [`https://${cloudHost}/v1/volumes/${found}`] }),
    'as the id of a volume': (found) => ({
      args: [...json, '--data-binary', '@BODY', cloudUrl],
      body: JSON.stringify({ query: `{ volumeInstance(id: "${found}") { id } }` }),
    }),
    'in capitals': (found) => ({
      args: [...json, '--data-binary', '@BODY', cloudUrl],
      body: JSON.stringify({ query: '{ me { id } }', variables: { id: found.toUpperCase() } }),
    }),
    'without its hyphens': (found) => ({ args: ['--data', found.replaceAll('-', ''), cloudUrl] }),
    'in base64': (found) => ({ args: ['--data', Buffer.from(`x:${found}`).toString('base64'), cloudUrl] }),
    'behind what looks like the beginning of another': (found) => ({
      args: ['--data', `aaaaaaaa-aaaa-aaaa-aaaa-aaaa${found}`, cloudUrl],
    }),
  }
  it.each(casesOf(Object.entries(places), 6))('rings louder, and its answer does not tell: %s', async (_name, make) => {
    const alarm = await expectRefused(() => curl(make(token)), 'canary')
    expect(alarm.data).toMatchObject({ file, tokenSha256: sha256(token), looksLike: cloudHost })
    expect(answers.at(-1)).not.toMatch(/canary|\.env/)
  })

  it('rings where a handle belongs, too', async () => {
    const before = alarms().length
    await cloud.curl(handle, '--proxy', `http://${cloudAgent}:${token}@127.0.0.1:${cloud.gate.httpPort}`, cloudUrl)
    expect((await alarmSince(before))?.data).toMatchObject({ kind: 'canary', file })
  })

  it('rings as soon as it is planted, and nothing else of its kind does', async () => {
    await plant('second')
    await expectRefused(() => curl({ args: ['--header', `X-Request-Id: ${token}`, cloudUrl] }), 'canary')
    const before = alarms().length
    const body = JSON.stringify({ query: `{ volumeInstance(id: "${randomUUID()}") { id } }` })
    expect(await curl({ args: [...json, '--data-binary', '@BODY', cloudUrl], body })).toMatchObject({ status: 200 })
    expect(alarms()).toHaveLength(before)
  })
})

describe('what people see and what is kept', () => {
  it('each alarm is on the live page at once, in a real browser, and on its stream', async () => {
    const token = randomUUID()
    tokens.push(token)
    const streamed = ada.follow('/live/stream', (text) => text.includes('ALARM') && text.includes('header x-last-of-all-token'))
    await expectRefused(() => cloud.curl(handle, '--header', `X-Last-Of-All-Token: ${token}`, cloudUrl))
    const line = watcher.page.locator('#feed li.danger', { hasText: 'header x-last-of-all-token' })
    await line.waitFor()
    expect(await line.textContent()).toMatch(/ALARM coder sent a credential that Sallyport did not issue to backboard/)
    expect(await watcher.page.locator('#feed li.danger', { hasText: 'was planted in' }).count()).toBeGreaterThan(0)
    expect(await streamed).toBe(true)
  })

  it('no token is in any answer, on any page, in the log, or in any file of the gate', async () => {
    // The digest by which an alarm lets a token be found is no way back to it.
    const forms = tokens.flatMap((token) => formsOf(token, cloudAgent).filter((form) => form !== sha256(token)))
    expect(tokens.length).toBeGreaterThan(roundsOf(80, 40))
    expect(findSecrets(`x ${tokens[0]} y`, forms)).not.toEqual([])
    const pages = [
      await watcher.page.content(),
      await ada.read('/live'),
      await ada.read('/requests'),
      JSON.stringify(cloud.gate.events()),
    ]
    const seen = [...answers.map((text) => ({ path: 'an answer', bytes: Buffer.from(text) })), ...cloud.files()]
    expect(seen.some(({ path }) => path.endsWith('store.db'))).toBe(true)
    for (const page of pages) expect(findSecrets(page, forms)).toEqual([])
    for (const { path, bytes } of seen) expect(findSecrets(bytes, forms), path).toEqual([])
  })
})
