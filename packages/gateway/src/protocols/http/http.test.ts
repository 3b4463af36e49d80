import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { ProxyAgent, request } from 'undici'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { refusal } from '../../../../../tests/fakes/govern.ts'
import {
  basicOf,
  governedHost,
  plainHost,
  readAnswer,
  realSecret,
  startHttpGate,
  type HttpGate,
} from '../../../../../tests/fakes/http-gate.ts'
import { jsonAnswer } from '../../../../../tests/fakes/http-upstream.ts'

const run = promisify(execFile)
let gate: HttpGate

beforeAll(async () => {
  gate = await startHttpGate()
})
afterAll(() => gate.stop())
beforeEach(() => {
  gate.standIn.reset()
  gate.plain.reset()
  gate.fake.asked.length = 0
  gate.fake.outcomes.length = 0
  gate.fake.alarms.length = 0
  gate.fake.decide = () => ({ kind: 'write' })
  gate.fake.forget()
})

const graphql = `https://${governedHost}/graphql/v2`

async function curl(...words: readonly string[]): Promise<{ status: number; body: string }> {
  const environment = { ...process.env, HTTPS_PROXY: gate.proxyUrl, https_proxy: gate.proxyUrl }
  const { stdout } = await run(
    'curl',
    ['-sS', '--max-time', '20', '--cacert', gate.authorityFile, '-w', '\n%{http_code}', ...words],
    { env: environment },
  )
  const at = stdout.lastIndexOf('\n')
  return { status: Number(stdout.slice(at + 1)), body: stdout.slice(0, at) }
}

test('curl through HTTPS_PROXY: decided, forwarded with the real credential, answered', async () => {
  const { status, body } = await curl(
    '-X',
    'POST',
    '-H',
    'content-type: application/json',
    '-d',
    '{"query":"{ me { id } }"}',
    graphql,
  )
  expect({ status, body }).toEqual({ status: 200, body: '{"data":{"ok":true}}' })
  const [received] = gate.standIn.received
  expect(received?.body.toString()).toBe('{"query":"{ me { id } }"}')
  expect(received?.headers).toContainEqual(['authorization', `Bearer ${realSecret}`])
  expect(received?.headers.map(([name]) => name)).not.toContain('proxy-authorization')
  expect(gate.fake.asked[0]?.decoded).toMatchObject({ method: 'POST', url: graphql, body: '{"query":"{ me { id } }"}' })
  await gate.fake.until(() => gate.fake.outcomes.length === 1)
  expect(gate.fake.outcomes[0]?.outcome).toEqual({ result: 'succeeded', detail: 'HTTP 200' })
})

test('undici through a ProxyAgent, many requests on one connection', async () => {
  const agent = new ProxyAgent({ uri: gate.proxyUrl, requestTls: { ca: gate.authority } })
  for (const name of ['one', 'two', 'three']) {
    const answer = await request(`https://${governedHost}/v1/${name}`, { dispatcher: agent })
    expect(await answer.body.json()).toEqual({ data: { ok: true } })
  }
  await agent.close()
  expect(gate.standIn.received.map(({ target, connection }) => [target, connection])).toEqual(
    ['one', 'two', 'three'].map((name) => [`/v1/${name}`, gate.standIn.received[0]?.connection]),
  )
})

test('what is decided is what arrives: the digest is over the bytes that the upstream got, but for the credential', async () => {
  await gate.inside(
    `POST /v1/things?a=b HTTP/1.1\r\nHost: ${governedHost}\r\nX-Extra: 1\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello`,
  )
  const [received] = gate.standIn.received
  const without = received?.bytes.toString('latin1').replace(`authorization: Bearer ${realSecret}\r\n`, '') ?? ''
  const { hash } = await import('node:crypto')
  expect(gate.fake.asked[0]?.payload.bytesSha256).toBe(hash('sha256', Buffer.from(without, 'latin1'), 'hex'))
  expect(without).toContain('X-Extra: 1\r\n')
})

test('a trace is passed on and noted, and is no part of what is decided; what is no trace goes nowhere', async () => {
  const [trace, spanId] = ['00-0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331']
  const goods = [`${trace}-${spanId}-01`, `${trace}-00f067aa0ba902b7-00`]
  const bad = [`${trace}-${spanId}-01-${realSecret}`, `00-${'0'.repeat(32)}-${spanId}-01`, 'x'.repeat(8_000)]
  for (const said of [...goods, ...bad])
    await gate.inside(
      `POST /v1/things HTTP/1.1\r\nHost: ${governedHost}\r\nTraceparent: ${said}\r\ntracestate: a=${realSecret}\r\nContent-Length: 0\r\n\r\n`,
    )
  const passedOn = gate.standIn.received.map(({ headers }) => headers.filter(([name]) => name.toLowerCase().startsWith('trace')))
  expect(passedOn).toEqual([...goods.map((said) => [['traceparent', said]]), [], [], []])
  expect(gate.fake.asked.map(({ trace: noted }) => noted)).toEqual([...goods, undefined, undefined, undefined])
  expect(new Set(gate.fake.asked.map(({ payload }) => payload.bytesSha256)).size).toBe(1)
})

test('a clearance for other bytes sends nothing', async () => {
  gate.fake.decide = () => ({ kind: 'write', forgedSha256: '0'.repeat(64) })
  const { status } = await gate.inside(`GET /v1/x HTTP/1.1\r\nHost: ${governedHost}\r\n\r\n`)
  expect(status).toBe(409)
  expect(gate.standIn.text()).toBe('')
})

test('a remembered read is not asked about again, and goes through', async () => {
  gate.fake.decide = () => ({ kind: 'read' })
  const tunnel = await gate.tunnel()
  const read = (socket: typeof tunnel): Promise<string> =>
    new Promise((resolve) => {
      socket.once('data', (chunk: Buffer) => resolve(chunk.toString()))
      socket.write(`GET /v1/x HTTP/1.1\r\nHost: ${governedHost}\r\n\r\n`)
    })
  expect(await read(tunnel)).toContain('{"data":{"ok":true}}')
  expect(await read(tunnel)).toContain('{"data":{"ok":true}}')
  tunnel.destroy()
  expect(gate.fake.asked).toHaveLength(1)
  expect(gate.fake.recalled).toBe(1)
  expect(gate.standIn.received).toHaveLength(2)
})

test('what waits answers in GraphQL words on a GraphQL path, and as a problem elsewhere', async () => {
  const waiting = refusal({
    code: 'approval_required',
    message: 'A volume would be deleted.',
    requestId: 'r1',
    requestUrl: 'http://localhost/requests/r1',
    next: 'Ask again later.',
  })
  gate.fake.decide = () => ({ refused: waiting })
  const asked = await curl(
    '-X',
    'POST',
    '-H',
    'content-type: application/json',
    '-d',
    '{"query":"mutation { volumeDelete(volumeId: 1) }"}',
    graphql,
  )
  expect(asked.status).toBe(200)
  expect(JSON.parse(asked.body)).toMatchObject({
    errors: [
      {
        extensions: {
          code: 'APPROVAL_REQUIRED',
          status: 'pending',
          requestId: 'r1',
          url: 'http://localhost/requests/r1',
          next: 'Ask again later.',
        },
      },
    ],
  })
  const elsewhere = await curl(`https://${governedHost}/v1/x`)
  expect(elsewhere.status).toBe(403)
  expect(JSON.parse(elsewhere.body)).toMatchObject({
    status: 'pending',
    code: 'approval_required',
    requestId: 'r1',
    url: 'http://localhost/requests/r1',
  })
  expect(gate.standIn.text()).toBe('')
})

test("the agent's own handle as bearer is replaced", async () => {
  const { status } = await curl('-H', `Authorization: Bearer ${gate.handle}`, `https://${governedHost}/v1/x`)
  expect(status).toBe(200)
  expect(gate.standIn.received[0]?.headers.filter(([name]) => name === 'authorization')).toEqual([
    ['authorization', `Bearer ${realSecret}`],
  ])
  expect(gate.standIn.text()).not.toContain(gate.handle)
})

test('a stray token in Authorization: refused, nothing forwarded, an alarm', async () => {
  const { status, body } = await curl(
    '-X',
    'POST',
    '-H',
    'Authorization: Bearer 7b3f1a52-9c1d-4f8a-8f0e-2d6c5b4a3918',
    '-d',
    '{}',
    graphql,
  )
  expect(status).toBe(403)
  expect(JSON.parse(body)).toMatchObject({ code: 'foreign_credential' })
  expect(gate.standIn.text()).toBe('')
  expect(gate.fake.asked).toHaveLength(0)
  expect(gate.fake.alarms).toMatchObject([
    {
      kind: 'foreign_credential',
      agent: 'robot',
      data: { place: 'header authorization', upstream: 'cloud', host: governedHost },
    },
  ])
  expect(JSON.stringify(gate.fake.alarms)).not.toContain('7b3f1a52')
})

test('plain HTTP in absolute form to a governed host', async () => {
  const { status } = await gate.raw(
    `GET http://${plainHost}/v1/x HTTP/1.1\r\nHost: ${plainHost}\r\nProxy-Authorization: ${gate.basic}\r\n\r\n`,
  )
  expect(status).toBe(200)
  expect(gate.plain.received[0]?.target).toBe('/v1/x')
})

test('without a handle: 407; with a wrong one: 407, and noted without the secret', async () => {
  expect((await gate.raw(`CONNECT ${governedHost}:443 HTTP/1.1\r\nHost: ${governedHost}:443\r\n\r\n`)).text).toMatch(
    /^HTTP\/1\.1 407.*proxy-authenticate: Basic/s,
  )
  const wrong = await gate.raw(
    `CONNECT ${governedHost}:443 HTTP/1.1\r\nHost: ${governedHost}:443\r\nProxy-Authorization: ${basicOf('not-the-handle')}\r\n\r\n`,
  )
  expect(wrong.status).toBe(407)
  expect(gate.fake.door.at(-1)).toContain('fits no handle')
  expect(gate.fake.door.join()).not.toContain('not-the-handle')
})

test.each([
  [200, { data: { x: 1 } }, { result: 'succeeded', detail: 'HTTP 200' }],
  [200, { errors: [{ message: 'no' }], data: null }, { result: 'failed', detail: 'HTTP 200 with GraphQL errors' }],
  [
    200,
    { errors: [{ message: 'no' }], data: { a: true, b: null } },
    { result: 'unknown', detail: 'HTTP 200 with GraphQL errors beside data' },
  ],
  [404, {}, { result: 'failed', detail: 'HTTP 404' }],
  [503, {}, { result: 'unknown', detail: 'HTTP 503' }],
  [307, {}, { result: 'failed', detail: 'HTTP 307' }],
] as const)('outcome of a GraphQL answer %s %j', async (status, value, outcome) => {
  gate.standIn.answer = () => jsonAnswer(value, status)
  const answer = await curl('-X', 'POST', '-d', '{"query":"mutation { x }"}', graphql)
  expect(answer.status).toBe(status)
  expect(gate.fake.outcomes.map((each) => each.outcome)).toEqual([outcome])
  expect(gate.standIn.received).toHaveLength(1)
})

test('a connection that breaks after the request was sent: unknown, and not tried again', async () => {
  gate.standIn.answer = () => (socket) => socket.destroy()
  const { status } = await curl('-X', 'POST', '-d', 'x', `https://${governedHost}/v1/x`)
  expect(status).toBe(502)
  expect(gate.fake.outcomes).toMatchObject([{ outcome: { result: 'unknown' } }])
  expect(gate.standIn.received).toHaveLength(1)
})

test('kill: the connection and the one to the upstream end at once, and nothing more is sent', async () => {
  gate.standIn.answer = () => () => undefined
  const answered = gate.inside(`POST /v1/x HTTP/1.1\r\nHost: ${governedHost}\r\nContent-Length: 1\r\n\r\nx`)
  await gate.standIn.until(() => gate.standIn.received.length === 1)
  gate.fake.kill('stop')
  expect((await answered).text).toBe('')
  await gate.standIn.until(() => gate.standIn.open === 0)
  const before = gate.standIn.text()
  await expect(gate.inside(`GET /v1/y HTTP/1.1\r\nHost: ${governedHost}\r\n\r\n`)).rejects.toThrow('killed')
  gate.fake.release()
  expect(gate.standIn.text()).toBe(before)
  await gate.fake.until(() => gate.fake.outcomes.length === 1)
  expect(gate.fake.outcomes).toMatchObject([{ outcome: { result: 'unknown' } }])
})

test('kill between clearance and write: nothing is sent', async () => {
  gate.fake.decide = () => ({ kind: 'write', during: async () => Promise.resolve(gate.fake.kill('now')) })
  expect((await gate.inside(`POST /v1/x HTTP/1.1\r\nHost: ${governedHost}\r\nContent-Length: 1\r\n\r\nx`)).text).toBe('')
  gate.fake.release()
  await gate.fake.until(() => gate.fake.outcomes.length === 1)
  expect(gate.standIn.received).toHaveLength(0)
  expect(gate.fake.outcomes).toMatchObject([{ outcome: { result: 'failed' } }])
})

test('a write whose client left is read to its end, and its outcome is on the log', async () => {
  let finish: () => void = () => undefined
  gate.standIn.answer = () => (socket) => (finish = () => void socket.write(jsonAnswer({ data: {} })))
  const tunnel = await gate.tunnel()
  const answered = readAnswer(tunnel, `POST /v1/x HTTP/1.1\r\nHost: ${governedHost}\r\nContent-Length: 1\r\n\r\nx`)
  await gate.standIn.until(() => gate.standIn.received.length === 1)
  tunnel.destroy()
  await answered
  await gate.fake.until(() => gate.fake.sessionsOpen === 0)
  finish()
  await gate.fake.until(() => gate.fake.outcomes.length === 1)
  expect(gate.fake.outcomes).toMatchObject([{ outcome: { result: 'succeeded' } }])
})

test('sessions are opened once a connection and closed with it', async () => {
  const before = gate.fake.closed.length
  await gate.inside(`GET /v1/x HTTP/1.1\r\nHost: ${governedHost}\r\n\r\n`)
  await gate.fake.until(() => gate.fake.sessionsOpen === 0)
  expect(gate.fake.closed.length).toBe(before + 1)
})
