import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { startBrowser, type BrowserPerson, type TestBrowser } from '../fakes/browser.ts'
import { challengeIn } from '../../packages/cli/src/drill/person.ts'
import { makeHttpPerson, type HttpPerson } from '../fakes/http-person.ts'
import { requireRoot } from '../fakes/own-processes.ts'
import { startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { cancel, checksums, eventsOf, patience, readRequest, requestOf, waits } from './evidence.ts'
import { drop, prepareNotes, tables } from './notes.ts'
import { decideOnPage, enrolOnPage } from './page.ts'
import { openPsql, type Psql } from './psql.ts'
import { testSecondSelf } from './second-self.ts'
import { askAsAnybody as ask } from './unaccepted.ts'
import { casesOf } from '../breadth.ts'

vi.setConfig(patience)

let postgres: PostgresServer
let browser: TestBrowser

beforeAll(async () => {
  postgres = await startPostgres()
  browser = await startBrowser()
  await postgres.query('CREATE DATABASE solo')
})

afterAll(async () => {
  await browser?.stop()
  await postgres?.stop()
})

describe('Promise 5, at isolation level 2: an agent approves nothing, and nobody alone approves their own agent’s irreversible request', () => {
  let gate: TestGate
  let coder: Psql
  let ada: BrowserPerson
  let bob: BrowserPerson
  let request: string
  let before: Readonly<Record<string, string>>

  beforeAll(async () => {
    gate = await startGate({ postgres, wait: '0ms', proposes: true })
    await prepareNotes(postgres)
    // The first person is enrolled by the terminal's one-time link; everybody else is invited by somebody enrolled.
    const link = await gate.post('/api/v1/enrolment-links', {}, z.object({ url: z.url() }))
    ada = await browser.open()
    await enrolOnPage(ada, link.url, 'ada')
    coder = await openPsql(gate, 'coder')
    request = requestOf(await coder.run(drop))
    before = await checksums(postgres, tables)
  })

  afterAll(() => gate?.stop())

  const expectStillPending = async (): Promise<void> => {
    expect(await readRequest(gate, request)).toMatchObject({ state: 'pending', approvals: [] })
    expect(await coder.run(drop)).toMatchObject({ sqlState: waits })
    expect(await checksums(postgres, tables)).toEqual(before)
  }

  it('an agent’s handle opens nothing of what people have', async () => {
    const secrets = [`Bearer ${coder.handle}`, `Basic ${Buffer.from(`coder:${coder.handle}`).toString('base64')}`, 'Bearer ', '']
    const places: readonly (readonly [string, string, unknown])[] = [
      ['GET', '/api/v1/requests', null],
      ['GET', `/api/v1/requests/${request}`, null],
      ['POST', `/api/v1/requests/${request}/approve`, {}],
      ['POST', `/api/v1/requests/${request}/cancel`, {}],
      ['POST', '/api/v1/handles', { agent: 'coder' }],
      ['POST', '/api/v1/enrolment-links', {}],
      ['POST', '/api/v1/undo', { snapshotId: 'a' }],
      ['POST', `/requests/${request}/challenge`, { verdict: 'approve', reason: '', shown: '0'.repeat(64) }],
      ['POST', `/requests/${request}/verdict`, { verdict: 'approve', reason: '', response: {} }],
      ['POST', '/people/invitations/options', {}],
      ['POST', '/kill', { kind: 'all', id: '*' }],
      ['GET', `/requests/${request}`, null],
      ['GET', '/live', null],
    ]
    for (const authorization of secrets) {
      for (const [method, path, body] of places) {
        const answer = await ask(gate, path, {
          method,
          headers: { authorization, 'content-type': 'application/json' },
          ...(body === null ? {} : { body: JSON.stringify(body) }),
        })
        expect(answer.status, `${method} ${path}`).toBeGreaterThanOrEqual(
          method === 'GET' && !path.startsWith('/api') ? 300 : 400,
        )
        expect(answer.text).not.toContain('DROP TABLE')
      }
    }
    await expectStillPending()
  })

  it('an agent’s SQL opens nothing either: no name, no cancel key, no user of the machine', async () => {
    for (const sql of [
      `SELECT sallyport_approve('${request}')`,
      `UPDATE requests SET state = 'approved'`,
      `NOTIFY requests, '${request}'`,
      `/* approved */ ${drop}`,
      `SET sallyport.approved = '${request}'`,
    ]) {
      const ran = await coder.run(sql)
      expect(ran.request === '' || ran.request !== request, sql).toBe(true)
      if (ran.request !== '') await cancel(gate, ran.request)
    }
    requireRoot()
    const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'nobody']).toString()))
    const commands = [
      `cat ${gate.directory}/operator.token`,
      `cat ${gate.directory}/store.db`,
      `sh -c 'echo x >> ${gate.directory}/sallyport.yaml'`,
      `cat ${gate.directory}/logs/gate.log`,
      `kill -HUP ${gate.process.pid}`,
    ]
    for (const command of commands) {
      const failed = await new Promise<boolean>(
        (resolve) => void execFile('sh', ['-c', command], { uid, gid, cwd: '/' }, (error) => resolve(error !== null)),
      )
      expect(failed, command).toBe(true)
    }
    await expectStillPending()
  })

  it('the operator’s token approves nothing: there is no such verb, and pages do not take it', async () => {
    const authorization = `Bearer ${readFileSync(join(gate.directory, 'operator.token'), 'utf8')}`
    const body = JSON.stringify({ verdict: 'approve', reason: '', person: 'bob', response: {} })
    for (const path of [
      `/api/v1/requests/${request}/approve`,
      `/api/v1/requests/${request}/verdict`,
      `/api/v1/requests/${request}/challenge`,
      `/api/v1/requests/${request}`,
      '/api/v1/grants',
      '/api/v1/people',
      '/api/v1/kills/1/release',
      `/requests/${request}/verdict`,
      `/requests/${request}/challenge`,
      '/people/invitations',
      '/people/invitations/options',
    ]) {
      for (const method of ['POST', 'PUT', 'PATCH']) {
        const answer = await ask(gate, path, {
          method,
          headers: {
            authorization,
            'content-type': 'application/json',
            origin: gate.controlUrl,
            'sec-fetch-site': 'same-origin',
          },
          body,
        })
        expect(answer.status, `${method} ${path}`).toBeGreaterThanOrEqual(400)
        expect(
          (await ask(gate, path, { method, headers: { authorization, 'content-type': 'application/json' }, body })).status,
          `${method} ${path}`,
        ).toBeGreaterThanOrEqual(400)
      }
    }
    expect(
      (
        await ask(gate, '/api/v1/enrolment-links', {
          method: 'POST',
          headers: { authorization, 'content-type': 'application/json' },
          body: '{}',
        })
      ).status,
    ).toBe(409)
    await expectStillPending()
  })

  it('nobody enrols but by a link that is good once, and not under the name of an agent or of anybody', async () => {
    const invited = async (): Promise<string> => {
      await ada.page.goto(`${gate.controlUrl}/people`)
      await ada.page.click('text=Make an invitation')
      await expect.poll(() => ada.page.textContent('output')).toContain('/enrol#')
      return (await ada.page.textContent('output')) ?? ''
    }
    const link = await invited()
    const enrol = async (name: string, to: string): Promise<boolean> =>
      makeHttpPerson(name, gate.controlUrl)
        .enrol(to)
        .then(
          () => true,
          () => false,
        )
    for (const name of ['coder', 'CODER', 'operator', 'ada', 'Ada', 'ａｄａ', ' ada ', 'ad\u200ba', ''])
      expect(await enrol(name, link), name).toBe(false)
    for (const token of [
      '',
      '0'.repeat(64),
      randomBytes(32).toString('hex'),
      coder.handle,
      readFileSync(join(gate.directory, 'operator.token'), 'utf8'),
    ]) {
      expect(await enrol('mallory', `${gate.controlUrl}/enrol#${token}`), token.slice(0, 8)).toBe(false)
    }
    bob = await browser.open()
    await enrolOnPage(bob, link, 'bob')
    expect(await enrol('mallory', link)).toBe(false)
    expect(eventsOf(gate, 'person.enrolled').map(({ data }) => data['person'])).toEqual(['ada', 'bob'])
    await expectStillPending()
  })

  it('the owner is told on the page that somebody else has to, and is refused', async () => {
    expect(await decideOnPage(ada, gate, request, 'approve', drop)).toMatch(/refused/)
    expect(await ada.page.textContent('main')).toContain('Somebody else has to approve')
    await expectStillPending()
  })

  it('a stolen cookie without the passkey does nothing, nor does a passkey without its person', async () => {
    const stolen = (await bob.context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ')
    const page = await ask(gate, `/requests/${request}`, { headers: { cookie: stolen } })
    const csrf = /data-csrf="([0-9a-f]+)"/.exec(page.text)?.[1] ?? ''
    const shown = /value="approve" data-challenge="([0-9a-f]{64})"/.exec(page.text)?.[1] ?? ''
    expect([csrf, shown].every((found) => found !== '')).toBe(true)
    const headers = {
      cookie: stolen,
      origin: gate.controlUrl,
      'sec-fetch-site': 'same-origin',
      'content-type': 'application/json',
      'x-csrf-token': csrf,
    }
    const asked = await ask(gate, `/requests/${request}/challenge`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ verdict: 'approve', reason: '', shown }),
    })
    expect(asked.status).toBe(200)
    // A software passkey that signs what it is asked to, and is nobody's here.
    const forged = makeHttpPerson('bob', gate.controlUrl).passkey.assert(
      challengeIn({ status: 200, body: JSON.parse(asked.text) }),
    )
    const verdict = JSON.stringify({ verdict: 'approve', reason: '', response: forged })
    expect(
      (await ask(gate, `/requests/${request}/verdict`, { method: 'POST', headers, body: verdict })).status,
    ).toBeGreaterThanOrEqual(400)
    for (const missing of ['origin', 'x-csrf-token', 'cookie']) {
      const fewer = Object.fromEntries(Object.entries(headers).filter(([name]) => name !== missing))
      expect(
        (
          await ask(gate, `/requests/${request}/challenge`, {
            method: 'POST',
            headers: fewer,
            body: JSON.stringify({ verdict: 'approve', reason: '', shown }),
          })
        ).status,
        missing,
      ).toBeGreaterThanOrEqual(400)
    }
    await bob.verifyUser(false)
    expect(await decideUnverified()).toContain('Nothing was done')
    await bob.verifyUser(true)
    await expectStillPending()
  })

  it('another person at a real browser approves, and then, and only then, it runs', async () => {
    expect(await decideOnPage(bob, gate, request, 'approve', drop)).toContain('approved')
    expect(await checksums(postgres, tables)).toEqual(before)
    expect(await coder.run(drop)).toMatchObject({ sqlState: '00000' })
    expect(await checksums(postgres, tables)).toEqual({ ...before, notes: 'not there' })
    expect(eventsOf(gate, 'verdict').map(({ data }) => JSON.stringify(data).includes('"person":"bob"'))).toEqual([true])
    expect([...ada.complaints, ...bob.complaints]).toEqual([])
  })

  it('widening is such an operation: a file that gives more than before only proposes it', async () => {
    const file = z.looseObject({ mode: z.string(), agents: z.looseObject({}) })
    const kept = readFileSync(gate.configuration, 'utf8')
    const configuration = file.parse(JSON.parse(kept))
    const wider = [
      { ...configuration, mode: 'solo' },
      { ...configuration, agents: { ...configuration.agents, other: { owner: 'ada', may: ['any orders-db'] } } },
      { ...configuration, agents: { coder: { owner: 'mallory', may: ['any orders-db'] } } },
      { ...configuration, limits: { rowsWithoutPrompt: 1_000_000 } },
    ]
    for (const [index, one] of casesOf(wider, 1).entries()) {
      await gate.halt()
      writeFileSync(gate.configuration, JSON.stringify(one))
      await gate.start()
      const proposed = eventsOf(gate, 'configuration.proposed')
      expect(proposed, JSON.stringify(one)).toHaveLength(index + 1)
      expect(proposed.at(-1)?.data['widenings']).toEqual([expect.any(String)])
      expect(eventsOf(gate, 'configuration.applied').at(-1)?.data['widened']).toEqual([])
      await expect(gate.issue('other')).rejects.toThrow('other')
    }
    await gate.halt()
    writeFileSync(gate.configuration, kept)
    await gate.start()
    expect(await coder.run('SELECT 1')).toMatchObject({ sqlState: '00000' })
  })

  async function decideUnverified(): Promise<string> {
    await bob.page.goto(`${gate.controlUrl}/requests/${request}`)
    await bob.page.click('button[value=approve]')
    // The page first says that it waits for the passkey.
    await expect.poll(() => bob.page.textContent('form [role=status]')).toContain('Nothing was done')
    return (await bob.page.textContent('form [role=status]')) ?? ''
  }
})

testSecondSelf(() => postgres)

describe('Promise 5 in solo mode, at isolation level 2: the owner may, on a passkey, after a cool-off that anyone can cancel', () => {
  let gate: TestGate
  let coder: Psql
  let ada: HttpPerson
  let bob: HttpPerson
  const coolOffMs = 2_000

  beforeAll(async () => {
    gate = await startGate({
      postgres,
      mode: 'solo',
      coolOff: `${coolOffMs}ms`,
      wait: '0ms',
      upstreams: { 'orders-db': { database: 'solo' } },
    })
    await prepareNotes(postgres, 'solo')
    ada = await gate.person('ada')
    bob = await gate.person('bob')
    coder = await openPsql(gate, 'coder')
  })

  afterAll(() => gate?.stop())

  const read = (): Promise<Readonly<Record<string, string>>> => checksums(postgres, tables, 'solo')

  it('not before it is over, and not at all once anyone has cancelled', async () => {
    const before = await read()
    const cancels: readonly ((request: string) => Promise<boolean>)[] = [
      (request) => cancel(gate, request),
      async (request) => (await bob.post(`/requests/${request}/cancel`, {})).status === 200,
    ]
    for (const cancelIt of cancels) {
      const request = requestOf(await coder.run(drop))
      await ada.approve(request)
      const { notBeforeMs } = await readRequest(gate, request)
      expect((await coder.run(drop)).sqlState).toBe(waits)
      expect(await cancelIt(request)).toBe(true)
      // Past the hour at which it would have been due.
      while (Date.now() <= (notBeforeMs ?? 0)) await new Promise((resolve) => setTimeout(resolve, 50))
      const ran = await coder.run(drop)
      expect(['SP001', 'SP002'], ran.message).toContain(ran.sqlState)
      if (ran.request !== '' && ran.request !== request) await cancel(gate, ran.request)
      expect(await read()).toEqual(before)
    }
  })

  it('after it, once', async () => {
    const request = requestOf(await coder.run(drop))
    expect(await readRequest(gate, request)).toMatchObject({ question: { delayMs: coolOffMs, approvalsNeeded: 1 } })
    await ada.approve(request)
    const { notBeforeMs } = await readRequest(gate, request)
    expect((await coder.run(drop)).sqlState).toBe(waits)
    await vi.waitUntil(() => Date.now() > (notBeforeMs ?? 0) - 300, { timeout: 60_000 })
    for (let ran = await coder.run(drop); ran.sqlState !== '00000'; ran = await coder.run(drop)) {
      expect(ran.sqlState).toBe(waits)
    }
    const [ranAt] = eventsOf(gate, 'intent').filter(({ data }) => data['request'] === request)
    expect(ranAt?.atMs).toBeGreaterThanOrEqual(notBeforeMs ?? Number.MAX_SAFE_INTEGER)
    expect((await read())['notes']).toBe('not there')
  })
})
