import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FakeGate } from '../../../../../tests/fakes/govern.ts'
import { HttpStandIn, jsonAnswer } from '../../../../../tests/fakes/http-upstream.ts'
import { AnswerParser } from './answer-parser.ts'
import { CredentialFilter } from './credential-filter.ts'
import { isPublic } from './open-tunnel.ts'
import { openHttpUpstreams, type HttpUpstreamSettings } from './index.ts'

const secret = 'real-secret/with+signs=and-97c1'

interface Read {
  status: number
  headers: readonly (readonly [string, string])[]
  body: string
  reusable: boolean | null
}

function parse(chunks: readonly Buffer[], method = 'GET'): Read {
  const read: Read = { status: 0, headers: [], body: '', reusable: null }
  const parser = new AnswerParser(method, {
    head: ({ status, headers }) => Object.assign(read, { status, headers }),
    data: (chunk) => void (read.body += chunk.toString('latin1')),
    end: (reusable) => void (read.reusable = reusable),
  })
  for (const chunk of chunks) parser.feed(chunk)
  return read
}

/** The same bytes, cut at these places. */
function cut(bytes: Buffer, places: readonly number[]): readonly Buffer[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).toSorted((left, right) => left - right), bytes.length]
  return at.slice(1).map((end, index) => Buffer.from(bytes.subarray(at[index], end)))
}

describe('answers are read alike however they are cut', () => {
  const answers: readonly (readonly [name: string, text: string, body: string, reusable: boolean])[] = [
    ['a length', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello', 'hello', true],
    [
      'chunks, extensions, trailers',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nx-late: 1\r\n\r\n',
      'hello',
      true,
    ],
    ['an interim answer first', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello', 'hello', true],
    [
      'the end of a connection that closes',
      'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello',
      'hello',
      false,
    ],
    ['no reason', 'HTTP/1.1 200\r\ncontent-length: 5\r\n\r\nhello', 'hello', true],
  ]
  test.each(answers)('%s', (_name, text, body, reusable) => {
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 6 }), (places) => {
        expect(parse(cut(Buffer.from(text), places))).toMatchObject({ status: 200, body, reusable })
      }),
    )
  })

  test('HEAD, 204 and 304 have no body whatever they say', () => {
    expect(parse([Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n')], 'HEAD').reusable).toBe(true)
    for (const status of [204, 304])
      expect(parse([Buffer.from(`HTTP/1.1 ${status} X\r\ncontent-length: 5\r\n\r\n`)]).reusable).toBe(true)
    expect(() => parse([Buffer.from('HTTP/1.1 204 X\r\ncontent-length: 5\r\n\r\nhello')])).toThrow('bytes follow')
  })

  test('any bytes are read or refused, and never taken for an endless head', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          return parse([Buffer.from('HTTP/1.1 200 OK\r\n'), Buffer.from(bytes)]).body.length <= bytes.length
        } catch (error) {
          return error instanceof RangeError
        }
      }),
    )
    expect(() => parse([Buffer.from(`HTTP/1.1 200 OK\r\nx: ${'a'.repeat(70_000)}`)])).toThrow(RangeError)
  })
})

test('the credential is masked in every writing, however the answer is cut, and nothing else is touched', () => {
  const filter = new CredentialFilter([secret])
  const writings = [secret, encodeURIComponent(secret), Buffer.from(secret).toString('hex'), secret.toUpperCase()]
  const base64 = [0, 1, 2].map((shift) => Buffer.from('x'.repeat(shift) + secret).toString('base64'))
  fc.assert(
    fc.property(
      fc.constantFrom(...writings),
      fc.array(fc.nat(200), { maxLength: 8 }),
      fc.stringMatching(/^[ a-z]{0,40}$/),
      (writing, places, around) => {
        const bytes = Buffer.from(`${around}${writing}${around}`)
        const stream = filter.stream()
        const passed = cut(bytes, places).map((chunk) => stream.push(chunk) ?? Buffer.alloc(0))
        const text = Buffer.concat([...passed, stream.rest() ?? Buffer.alloc(0)]).toString()
        expect(text).toBe(`${around}${'*'.repeat(writing.length)}${around}`)
      },
    ),
  )
  for (const text of base64) expect(filter.text(text)).toMatch(/\*{30}/)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), fc.array(fc.nat(500), { maxLength: 5 }), (bytes, places) => {
      const stream = filter.stream()
      const passed = cut(Buffer.from(bytes), places).map((chunk) => stream.push(chunk) ?? Buffer.alloc(0))
      expect(Buffer.concat([...passed, stream.rest() ?? Buffer.alloc(0)]).equals(Buffer.from(bytes))).toBe(true)
    }),
  )
})

test('only addresses of the public internet are tunnelled to', () => {
  for (const address of ['93.184.216.34', '8.8.8.8']) expect(isPublic(address, 4), address).toBe(true)
  for (const address of [
    '127.0.0.1',
    '10.1.2.3',
    '169.254.169.254',
    '172.31.0.1',
    '192.168.1.1',
    '100.100.100.200',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
  ])
    expect(isPublic(address, 4), address).toBe(false)
  expect(isPublic('2606:2800:220:1:248:1893:25c8:1946', 6)).toBe(true)
  for (const address of [
    '::1',
    '::',
    'fe80::1',
    'fd00::1',
    'fd00:ec2::254',
    '::ffff:127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    'ff02::1',
  ])
    expect(isPublic(address, 6), address).toBe(false)
})

describe("the gate's own questions, and settings", () => {
  const standIn = new HttpStandIn(null)
  const { killSwitch } = new FakeGate().gate
  let port = 0
  beforeAll(async () => {
    port = await standIn.listen()
  })
  afterAll(() => standIn.stop())

  const settings = (over: Partial<HttpUpstreamSettings> = {}): HttpUpstreamSettings => ({
    name: 'cloud',
    environment: 'production',
    connector: 'fake',
    hosts: ['api.cloud.test'],
    scheme: 'http',
    credential: 'Authorization: Bearer {secret}',
    useSecret: 'use-secret-1234',
    protectSecret: 'protect-secret-1234',
    dial: { host: '127.0.0.1', port },
    ...over,
  })

  test('ask: with the protect credential, which is not in the answer; no redirect is followed', async () => {
    const upstreams = openHttpUpstreams([settings()], killSwitch)
    const access = upstreams.find({ scheme: 'http', host: 'api.cloud.test', port: 80 })?.enter().upstream.access
    if (access?.kind !== 'http') throw new Error('no access')
    standIn.answer = ({ headers, body }) =>
      jsonAnswer(
        { said: headers.find(([name]) => name === 'authorization')?.[1], body: body.toString() },
        302,
        'location: /elsewhere\r\n',
      )
    const answer = await access.ask(
      'POST',
      '/graphql',
      { 'content-type': 'application/json', Authorization: 'mine' },
      Buffer.from('{}'),
    )
    expect(answer.status).toBe(302)
    expect(Buffer.from(answer.body).toString()).toBe('{"said":"Bearer *******************","body":"{}"}')
    expect(standIn.received.map(({ headers }) => headers.filter(([name]) => name === 'authorization'))).toEqual([
      [['authorization', 'Bearer protect-secret-1234']],
    ])
    await expect(access.ask('GET', '/x\r\nhost: evil', {}, null)).rejects.toMatchObject({ code: 'clearance_invalid' })
    await expect(access.ask('GET', '/x', { 'x-a': 'b\r\nx-c: d' }, null)).rejects.toMatchObject({ code: 'clearance_invalid' })
    upstreams.close()
  })

  test('ask: what is too large or breaks off is an error', async () => {
    const upstreams = openHttpUpstreams([settings()], killSwitch)
    const access = upstreams.find({ scheme: 'http', host: 'api.cloud.test', port: 80 })?.enter().upstream.access
    if (access?.kind !== 'http') throw new Error('no access')
    standIn.answer = () => `HTTP/1.1 200 OK\r\ncontent-length: 5000000\r\n\r\n${'x'.repeat(5_000_000)}`
    await expect(access.ask('GET', '/x', {}, null)).rejects.toMatchObject({ code: 'too_large' })
    standIn.answer = () => (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf')
    await expect(access.ask('GET', '/x', {}, null)).rejects.toMatchObject({ code: 'upstream_failed' })
    upstreams.close()
  })

  test.each([
    ['a wildcard', { hosts: ['*.cloud.test'] }],
    ['a host with a trailing dot', { hosts: ['api.cloud.test.'] }],
    ['a host outside ASCII', { hosts: ['аpi.cloud.test'] }],
    ['no host', { hosts: [] }],
    ['the same host twice', { hosts: ['api.cloud.test', 'API.cloud.test:80'] }],
    ['a secret with a line break', { useSecret: 'abcdefgh\r\nx: y' }],
    ['a secret too short to be found in answers', { useSecret: 'abc' }],
    ['a credential without its place', { credential: 'authorization: Bearer' }],
    ['a credential with a line break', { credential: 'authorization: {secret}\r\nx: y' }],
  ])('refused at start: %s', (_name, over) => {
    let said = ''
    try {
      openHttpUpstreams([settings(over)], killSwitch)
    } catch (error) {
      said = error instanceof Error ? error.message : ''
    }
    expect(said).toMatch(/can't be used/)
    expect(said).not.toContain('abc')
  })

  test('only the exact origin is governed', () => {
    const upstreams = openHttpUpstreams([settings()], killSwitch)
    expect(upstreams.find({ scheme: 'http', host: 'api.cloud.test', port: 80 })).not.toBeNull()
    for (const origin of [
      { scheme: 'https', host: 'api.cloud.test', port: 443 },
      { scheme: 'http', host: 'api.cloud.test', port: 8080 },
      { scheme: 'http', host: 'cloud.test', port: 80 },
    ] as const)
      expect(upstreams.find(origin)).toBeNull()
    upstreams.close()
  })
})

test('an upstream whose certificate nobody vouches for is not spoken to', async () => {
  const { startHttpGate } = await import('../../../../../tests/fakes/http-gate.ts')
  const stranger = await startHttpGate()
  const gate = await startHttpGate({}, {}, { authorities: stranger.authority })
  const answer = await gate.inside('GET /v1/x HTTP/1.1\r\nHost: api.cloud.test\r\n\r\n')
  expect(answer.status).toBe(502)
  expect(answer.body).toMatch(/SELF_SIGNED|UNABLE_TO|CERT/)
  expect(gate.standIn.text()).toBe('')
  await gate.stop()
  await stranger.stop()
})
