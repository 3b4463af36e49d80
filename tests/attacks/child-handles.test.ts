import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { childEnvironment } from '../fakes/child-environment.ts'
import { arrange, startGate, type AgentConnection, type Ran, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { inDepth } from '../breadth.ts'

/** A handle made of a handle may less, ends with it, and shares what it may use up; whoever holds it cannot make more of it than it is. */
const command = fileURLToPath(new URL('../../packages/cli/bin/sallyport.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'sp-child-'))
const answerShape = z.object({ access_token: z.string(), handle: z.string(), expires_in: z.number(), act: z.array(z.string()) })
const problemShape = z.object({ code: z.string() })
const issuedShape = z.object({ id: z.string(), handle: z.string() })
let postgres: PostgresServer
let gate: TestGate

beforeAll(async () => {
  postgres = await startPostgres()
  writeFileSync(join(folder, 'token'), 'never-used-token-of-nobody\n', { mode: 0o600 })
  const api = {
    protocol: 'http',
    connector: 'railway',
    environment: 'production',
    hosts: ['backboard.railway.com'],
    graphql: ['/graphql/v2'],
    use: `file:${join(folder, 'token')}`,
    dial: '127.0.0.1:1',
  }
  const agents = Object.fromEntries(
    Array.from({ length: 12 }, (_, index) => [`agent${index}`, { owner: `owner${index}`, may: ['any orders-db', 'read cloud'] }]),
  )
  gate = await startGate({ postgres, wait: '0s', limits: { rowsWithoutPrompt: 100 }, agents, apis: { cloud: api } })
  await arrange(
    postgres,
    'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000); CREATE TABLE other (id int)',
  )
})
afterAll(async () => {
  await gate?.stop()
  await postgres?.stop()
  rmSync(folder, { recursive: true, force: true })
})

let used = 0
const newcomer = (): string => `agent${used++}`

interface Made {
  /** Of a handle, or the code of the refusal. */
  readonly secret: string
  readonly id: string
  readonly refused: string
  readonly body: string
  readonly act: readonly string[]
}

async function narrow(agent: string, handle: string, over: Readonly<Record<string, string>> = {}): Promise<Made> {
  const body = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    client_id: agent,
    subject_token: handle,
    actor: 'part',
    scope: 'read:orders-db',
    ...over,
  })
  return readMade(await fetch(`http://127.0.0.1:${gate.httpPort}/token`, { method: 'POST', body }))
}

async function readMade(answer: Response): Promise<Made> {
  const text = await answer.text()
  if (!answer.ok) return { secret: '', id: '', refused: problemShape.parse(JSON.parse(text)).code, body: text, act: [] }
  const { access_token: secret, handle: id, act } = answerShape.parse(JSON.parse(text))
  return { secret, id, refused: '', body: text, act }
}

async function runAs(agent: string, handle: string, ...statements: readonly string[]): Promise<readonly Ran[]> {
  const connection = await gate.connect(agent, { handle })
  const ran: Ran[] = []
  for (const sql of statements) ran.push(await connection.run(sql))
  await connection.close()
  return ran
}
const states = (ran: readonly Ran[]): readonly string[] => ran.map(({ sqlState }) => sqlState)
const deniedAtDoor = async (agent: string, handle: string): Promise<boolean> =>
  gate.connect(agent, { handle }).then(
    async (connection: AgentConnection) => {
      await connection.close()
      return false
    },
    () => true,
  )

test('a child does what it was made for and nothing else, however its agent may more', async () => {
  const agent = newcomer()
  const child = await narrow(agent, await gate.issue(agent))
  expect(states(await runAs(agent, child.secret, 'SELECT count(*) FROM t', 'INSERT INTO other VALUES (1)'))).toEqual([
    '00000',
    '42501',
  ])
  expect(await postgres.query('SELECT * FROM other')).toEqual([])
  // What its agent did before, and is remembered, is not its own.
  const parent = await gate.issue(agent)
  expect(states(await runAs(agent, parent, 'INSERT INTO other VALUES (2)', 'INSERT INTO other VALUES (3)'))).toEqual([
    '00000',
    '00000',
  ])
  expect(states(await runAs(agent, child.secret, 'INSERT INTO other VALUES (2)'))).toEqual(['42501'])
  const writer = await narrow(agent, parent, { scope: 'postgres.insert:orders-db' })
  expect(states(await runAs(agent, writer.secret, 'INSERT INTO other VALUES (4)', 'DELETE FROM other'))).toEqual([
    '00000',
    '42501',
  ])
  expect(states(await runAs(agent, writer.secret, 'SELECT * FROM other'))).toEqual(['42501'])
})

test('no child is more than its parent: scope, life, uses, upstream', async () => {
  const agent = newcomer()
  const parent = await gate.issue(agent)
  const child = await narrow(agent, parent, { scope: 'write:orders-db', expires_in: '60', uses: '3' })
  expect(child.refused).toBe('')
  const beyond: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['not_in_scope', { scope: 'any:orders-db' }],
    ['not_in_scope', { scope: 'read:orders-db destroy:orders-db' }],
    ['not_in_scope', { scope: 'postgres.drop_table:orders-db' }],
    ['not_in_scope', { scope: 'read:cloud' }],
    ['not_in_scope', { scope: 'read:ORDERS-DB' }],
    ['not_in_scope', { expires_in: '61' }],
    ['not_in_scope', { uses: '4' }],
    ['protocol_violation', { scope: '' }],
    ['protocol_violation', { scope: 'everything' }],
    ['protocol_violation', { uses: '0' }],
    ['protocol_violation', { uses: '-1' }],
    ['protocol_violation', { expires_in: '1e9' }],
    ['protocol_violation', { actor: '' }],
    ['protocol_violation', { actor: 'a → b' }],
    ['not_supported', { grant_type: 'client_credentials' }],
    ['not_supported', { audience: 'everywhere' }],
    ['authentication_failed', { subject_token: parent.slice(0, -1) }],
    ['authentication_failed', { client_id: 'agent11' }],
  ]
  for (const [code, over] of beyond) {
    const made = await narrow(agent, child.secret, over)
    expect([over, made.refused]).toEqual([over, code])
    for (const secret of [parent, child.secret]) expect(made.body).not.toContain(secret.slice(3))
  }
  expect((await narrow(agent, parent, { scope: 'any:billing-db' })).refused).toBe('not_in_scope')
  const twice = new URLSearchParams([['scope', 'read:orders-db']]).toString()
  const answer = await fetch(`http://127.0.0.1:${gate.httpPort}/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: `${twice}&${twice}`,
  })
  expect((await readMade(answer)).refused).toBe('protocol_violation')
})

test('uses are shared by a parent and its children, over a restart too', async () => {
  const agent = newcomer()
  const parent = await narrow(agent, await gate.issue(agent), { uses: '3' })
  const child = await narrow(agent, parent.secret, { uses: '2' })
  expect(states(await runAs(agent, child.secret, 'SELECT 1'))).toEqual(['00000'])
  expect(states(await runAs(agent, parent.secret, 'SELECT 1'))).toEqual(['00000'])
  expect(states(await runAs(agent, child.secret, 'SELECT 1'))).toEqual(['00000'])
  expect(await deniedAtDoor(agent, child.secret)).toBe(true)
  expect(await deniedAtDoor(agent, parent.secret)).toBe(true)
  await gate.halt()
  await gate.start()
  expect(await deniedAtDoor(agent, parent.secret)).toBe(true)
})

test('a parent’s end ends the tree at once: by being revoked, and what is open with it; nothing grows from it after', async () => {
  const agent = newcomer()
  const top = await gate.post('/api/v1/handles', { agent }, issuedShape)
  const child = await narrow(agent, top.handle)
  const grandchild = await narrow(agent, child.secret, { actor: 'deeper' })
  expect(grandchild.act).toEqual([agent, 'part', 'deeper'])
  const open = await gate.connect(agent, { handle: grandchild.secret })
  expect(await open.run('SELECT 1')).toMatchObject({ sqlState: '00000' })
  await gate.post(`/api/v1/handles/${top.id}/revoke`, {}, z.unknown())
  await expect.poll(async () => (await open.run('SELECT 1')).sqlState).not.toBe('00000')
  for (const { secret } of [child, grandchild]) {
    expect(await deniedAtDoor(agent, secret)).toBe(true)
    expect((await narrow(agent, secret)).refused).toBe('authentication_failed')
  }
  await open.close()
})

const listedShape = z.object({
  handles: z.array(
    z.looseObject({ id: z.string(), lastUsedAtMs: z.number().nullable(), expiresAtMs: z.number(), openSessions: z.number() }),
  ),
})
const rotatedShape = z.object({ id: z.string(), handle: z.string(), expiresAtMs: z.number(), oldEndsAtMs: z.number() })

test.each(
  inDepth(
    'a rotated handle has a new secret and no more than before; the old one, and what was made of it, ends, over a crash too',
  ),
)('%s', async () => {
  const agent = newcomer()
  const { id, handle } = await gate.post('/api/v1/handles', { agent }, issuedShape)
  const list = async (): Promise<z.infer<typeof listedShape>['handles']> =>
    (await gate.get('/api/v1/handles', listedShape)).handles
  const before = (await list()).find((one) => one.id === id)
  expect(before).toMatchObject({ agent, lastUsedAtMs: null, scopes: ['any orders-db', 'read cloud'] })
  const child = await narrow(agent, handle)
  const open = await gate.connect(agent, { handle })
  expect((await list()).find((one) => one.id === id)).toMatchObject({ lastUsedAtMs: expect.any(Number), openSessions: 1 })
  const rotated = await gate.post(`/api/v1/handles/${id}/rotate`, { overlapMs: 600_000 }, rotatedShape)
  expect(rotated.expiresAtMs).toBe(before?.expiresAtMs)
  for (const secret of [handle, rotated.handle]) expect(states(await runAs(agent, secret, 'SELECT 1'))).toEqual(['00000'])
  // A crash in between: the old one ends all the same, and is not the newer for it.
  await gate.crash()
  await gate.start()
  expect((await list()).find((one) => one.id === id)?.expiresAtMs).toBe(rotated.oldEndsAtMs)
  expect((await list()).find((one) => one.id === child.id)?.expiresAtMs).toBe(rotated.oldEndsAtMs)
  const again = await gate.connect(agent, { handle: rotated.handle })
  const last = await gate.post(`/api/v1/handles/${rotated.id}/rotate`, { overlapMs: 0 }, rotatedShape)
  await expect.poll(async () => (await again.run('SELECT 1')).sqlState).not.toBe('00000')
  expect(await deniedAtDoor(agent, rotated.handle)).toBe(true)
  expect(states(await runAs(agent, last.handle, 'SELECT 1'))).toEqual(['00000'])
  await expect(gate.post(`/api/v1/handles/${rotated.id}/rotate`, {}, rotatedShape)).rejects.toThrow('not_in_scope')
  await expect(gate.post(`/api/v1/handles/${last.id}/rotate`, { overlapMs: 3_600_001 }, rotatedShape)).rejects.toThrow(
    'answered 4',
  )
  // One that was narrowed keeps its uses: a new secret is no new life.
  const limited = await narrow(agent, last.handle, { uses: '2' })
  expect(states(await runAs(agent, limited.secret, 'SELECT 1'))).toEqual(['00000'])
  const renewed = await gate.post(`/api/v1/handles/${limited.id}/rotate`, { overlapMs: 0 }, rotatedShape)
  expect(states(await runAs(agent, renewed.handle, 'SELECT 1'))).toEqual(['00000'])
  expect(await deniedAtDoor(agent, renewed.handle)).toBe(true)
  expect(JSON.stringify(gate.events())).not.toContain(rotated.handle.slice(3))
  await Promise.all([open.close(), again.close()])
})

test('a kill of the agent ends its children, and none can be made', async () => {
  const agent = newcomer()
  const parent = await gate.issue(agent)
  const child = await narrow(agent, parent)
  const open = await gate.connect(agent, { handle: child.secret })
  await gate.post('/api/v1/kill', { kind: 'agent', id: agent, reason: 'a test' }, z.unknown())
  await expect.poll(async () => (await open.run('SELECT 1')).sqlState).not.toBe('00000')
  expect(await deniedAtDoor(agent, child.secret)).toBe(true)
  expect((await narrow(agent, parent)).refused).toBe('authentication_failed')
  await open.close()
})

test.each(inDepth('depth and number are bounded, and the owner can still issue'))('%s', async () => {
  const agent = newcomer()
  let handle = await gate.issue(agent)
  for (let depth = 0; depth < 4; depth += 1) handle = (await narrow(agent, handle, { actor: `d${depth}` })).secret
  expect((await narrow(agent, handle)).refused).toBe('limit_exceeded')
  const parent = await gate.issue(agent)
  for (let child = 0; child < 16; child += 1) expect((await narrow(agent, parent)).refused).toBe('')
  expect((await narrow(agent, parent)).refused).toBe('limit_exceeded')
  const second = await gate.issue(agent)
  for (let child = 0; child < 12; child += 1) expect((await narrow(agent, second)).refused).toBe('')
  expect((await narrow(agent, second)).refused).toBe('limit_exceeded')
  expect(await gate.issue(agent)).toMatch(/^sp_/)
})

test.each(inDepth('budgets are the agent’s: 99 rows by one child, and 99 by another ask'))('%s', async () => {
  const agent = newcomer()
  const parent = await gate.issue(agent)
  const scope = { scope: 'any:orders-db' }
  const [one, other] = [await narrow(agent, parent, scope), await narrow(agent, parent, scope)]
  expect(await runAs(agent, one.secret, 'DELETE FROM t WHERE id <= 99')).toMatchObject([{ sqlState: '00000', rowCount: 99 }])
  expect(states(await runAs(agent, other.secret, 'DELETE FROM t WHERE id > 99 AND id <= 198'))).toEqual(['SP001'])
  expect(states(await runAs(agent, parent, 'DELETE FROM t WHERE id > 99 AND id <= 198'))).toEqual(['SP001'])
  expect(await postgres.query('SELECT count(*)::int AS n FROM t')).toEqual([{ n: 901 }])
})

test('whose it is and who acts is on the log with all that a child does, and its secret nowhere', async () => {
  const agent = newcomer()
  const child = await narrow(agent, await gate.issue(agent), { scope: 'any:orders-db', actor: 'cleaner' })
  await runAs(agent, child.secret, 'INSERT INTO other VALUES (77)', 'DROP TABLE other')
  const closed = (): boolean => gate.events().some(({ agent: by, type }) => by === agent && type === 'session.closed')
  await expect.poll(closed).toBe(true)
  const own = gate.events().filter(({ agent: by, session }) => by === agent && session !== undefined)
  const types = own.map(({ type }) => type)
  for (const type of ['session.opened', 'intent', 'outcome', 'request.opened', 'session.closed']) expect(types).toContain(type)
  for (const { type, data } of own)
    expect([type, data['act'], data['sub']]).toEqual([type, [agent, 'cleaner'], `owner${agent.slice('agent'.length)}`])
  expect(gate.events().find(({ type, data }) => type === 'handle.narrowed' && data['handle'] === child.id)?.data).toMatchObject({
    act: [agent, 'cleaner'],
    scopes: ['any orders-db'],
  })
  expect(JSON.stringify(gate.events())).not.toContain(child.secret.slice(3))
})

test.each(inDepth('sallyport handle narrow: the handle comes on standard input, and never goes to another machine in the clear'))(
  '%s',
  async () => {
    const agent = newcomer()
    const handle = await gate.issue(agent)
    const run = (...words: readonly string[]): Promise<{ readonly code: unknown; readonly out: string; readonly said: string }> =>
      new Promise((resolve) => {
        const child = execFile(
          process.execPath,
          [command, 'handle', 'narrow', '--agent', agent, '--for', 'part', '--may', 'read orders-db', '--json', ...words],
          { env: childEnvironment() },
          (error, out, said) => resolve({ code: error?.code ?? 0, out, said }),
        )
        child.stdin?.end(`${handle}\n`)
      })
    const made = await run('--gate', `http://127.0.0.1:${gate.httpPort}`, '--ttl', '1m')
    expect(made).toMatchObject({ code: 0, said: '' })
    const shown = z.object({ handle: z.string(), act: z.array(z.string()) }).parse(JSON.parse(made.out))
    expect(shown.act).toEqual([agent, 'part'])
    expect(states(await runAs(agent, shown.handle, 'SELECT 1', 'DROP TABLE other'))).toEqual(['00000', '42501'])
    expect((await run('--gate', 'http://gate.example')).code).toBe(2)
    const refused = await run('--gate', `http://127.0.0.1:${gate.httpPort}`, '--may', 'read nothing-here')
    expect(refused.code).toBe(4)
    for (const { out, said } of [refused]) expect(out + said).not.toContain(handle.slice(3))
  },
)
