import { hash } from 'node:crypto'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  basicOf,
  governedHost,
  otherHost,
  plainHost,
  readAnswer,
  realSecret,
  startHttpGate,
  type HttpGate,
  type RawAnswer,
} from '../../../../../tests/fakes/http-gate.ts'
import { jsonAnswer, type HttpStandIn } from '../../../../../tests/fakes/http-upstream.ts'

/** Each attack ends in one of two ways: the upstream got exactly the bytes that were decided, or it got nothing. */
let gate: HttpGate

beforeAll(async () => {
  gate = await startHttpGate({}, { headersTimeoutMs: 500, requestTimeoutMs: 1_000, bodyBytesMax: 64 * 1024 })
})
afterAll(() => gate.stop())
beforeEach(() => {
  gate.standIn.reset()
  gate.plain.reset()
  gate.fake.asked.length = 0
  gate.fake.alarms.length = 0
  gate.fake.outcomes.length = 0
  gate.fake.decide = () => ({ kind: 'write' })
})

const host = `Host: ${governedHost}\r\n`
const json = 'Content-Type: application/json\r\n'
const post = (headers: string, body: string | Buffer, target = '/graphql/v2'): Buffer =>
  Buffer.concat([
    Buffer.from(`POST ${target} HTTP/1.1\r\n${host}${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`, 'latin1'),
    Buffer.from(body),
  ])

function withoutCredential(bytes: Buffer): Buffer {
  const line = Buffer.from(`authorization: Bearer ${realSecret}\r\n`)
  const at = bytes.indexOf(line)
  expect(at, 'the real credential is in every request that arrives').toBeGreaterThan(0)
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + line.length)])
}

/** Every byte that arrived belongs to a request that was decided. */
function expectDecidedOrNothing(standIn: HttpStandIn): void {
  expect(
    Buffer.concat(standIn.bytes).equals(Buffer.concat(standIn.received.map(({ bytes }) => bytes))),
    'nothing but whole requests',
  ).toBe(true)
  const decided = gate.fake.asked.map(({ payload }) => payload.bytesSha256)
  for (const { bytes } of standIn.received) expect(decided).toContain(hash('sha256', withoutCredential(bytes), 'hex'))
}

function expectNoSecret(answer: RawAnswer): void {
  expect(answer.text).not.toContain(realSecret)
  expect(JSON.stringify([gate.fake.asked, gate.fake.alarms, gate.fake.outcomes, gate.fake.door])).not.toContain(realSecret)
}

describe('inside a tunnel: refused, and nothing arrives', () => {
  const get = (headers: string, target = '/v1/x'): string => `GET ${target} HTTP/1.1\r\n${host}${headers}\r\n`
  const attacks: readonly (readonly [name: string, status: number, bytes: string | Buffer])[] = [
    ['two Host headers', 400, get(`Host: ${otherHost}\r\n`)],
    ['two equal Host headers', 400, get(host)],
    ['no Host', 400, 'GET /v1/x HTTP/1.1\r\n\r\n'],
    ['an empty Host', 400, 'GET /v1/x HTTP/1.1\r\nHost: \r\n\r\n'],
    ['Host of another governed host', 400, `GET /v1/x HTTP/1.1\r\nHost: ${plainHost}\r\n\r\n`],
    ['Host with another port', 400, `GET /v1/x HTTP/1.1\r\nHost: ${governedHost}:8443\r\n\r\n`],
    ['Host with a trailing dot', 400, `GET /v1/x HTTP/1.1\r\nHost: ${governedHost}.\r\n\r\n`],
    ['Host with user information', 400, `GET /v1/x HTTP/1.1\r\nHost: x@${governedHost}\r\n\r\n`],
    ['Host with a blank inside', 400, `GET /v1/x HTTP/1.1\r\nHost: ${governedHost} ${otherHost}\r\n\r\n`],
    ['Host in percent-encoding', 400, 'GET /v1/x HTTP/1.1\r\nHost: api%2ecloud.test\r\n\r\n'],
    ['an absolute URL of another host', 400, `GET https://${otherHost}/v1/x HTTP/1.1\r\n${host}\r\n`],
    ['an absolute URL with another scheme', 400, `GET http://${governedHost}/v1/x HTTP/1.1\r\n${host}\r\n`],
    ['an absolute URL with user information', 403, `GET https://user:pw@${governedHost}/v1/x HTTP/1.1\r\n${host}\r\n`],
    ['Content-Length twice, different', 400, `POST /v1/x HTTP/1.1\r\n${host}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx`],
    ['Content-Length twice, equal', 400, `POST /v1/x HTTP/1.1\r\n${host}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx`],
    ['Content-Length as a list', 400, `POST /v1/x HTTP/1.1\r\n${host}Content-Length: 1, 1\r\n\r\nx`],
    ['Content-Length with a sign', 400, `POST /v1/x HTTP/1.1\r\n${host}Content-Length: +1\r\n\r\nx`],
    ['Content-Length in hex', 400, `POST /v1/x HTTP/1.1\r\n${host}Content-Length: 0x1\r\n\r\nx`],
    ['Content-Length with leading zeros', 400, `POST /v1/x HTTP/1.1\r\n${host}Content-Length: 01\r\n\r\nx`],
    [
      'Content-Length and Transfer-Encoding',
      400,
      `POST /v1/x HTTP/1.1\r\n${host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    ['Transfer-Encoding that is no chunked', 400, `POST /v1/x HTTP/1.1\r\n${host}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
    [
      'Transfer-Encoding: identity, chunked',
      400,
      `POST /v1/x HTTP/1.1\r\n${host}Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n`,
    ],
    ['Transfer-Encoding: gzip, chunked', 400, `POST /v1/x HTTP/1.1\r\n${host}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
    [
      'Transfer-Encoding: chunked, identity',
      400,
      `POST /v1/x HTTP/1.1\r\n${host}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
    ],
    [
      'Transfer-Encoding twice',
      400,
      `POST /v1/x HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'Transfer-Encoding with a blank before the colon',
      400,
      `POST /v1/x HTTP/1.1\r\n${host}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'Transfer-Encoding after a vertical tab',
      400,
      `POST /v1/x HTTP/1.1\r\n${host}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`,
    ],
    ['a folded header', 400, get('X-Fold: a\r\n b\r\n')],
    ['a folded Transfer-Encoding', 400, `POST /v1/x HTTP/1.1\r\n${host}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`],
    ['a zero byte in a header', 400, get('X-A: a\0b\r\n')],
    ['a zero byte in the path', 400, get('', '/v1/\0x')],
    ['a bare carriage return in a header', 400, get('X-A: a\rX-B: b\r\n')],
    ['bare line feeds', 400, `GET /v1/x HTTP/1.1\n${host.replace('\r', '')}\n`],
    ['a header outside ASCII', 400, get('X-A: \xc3\xa9\r\n')],
    ['a header name with a blank', 400, get('X A: b\r\n')],
    ['an underscore for a hyphen', 400, get('X_Http_Method: DELETE\r\n')],
    ['a method override', 400, post('X-HTTP-Method-Override: DELETE\r\n', 'x')],
    ['a path override', 400, get('X-Original-URL: /admin\r\n')],
    ['a forwarded host', 400, get(`X-Forwarded-Host: ${otherHost}\r\n`)],
    ['a Connection header that drops another', 400, get('Connection: close, content-type\r\n')],
    ['the same header twice', 400, get('Content-Type: a/b\r\nContent-Type: c/d\r\n')],
    ['101 headers', 413, get(Array.from({ length: 101 }, (_, index) => `X-${index}: 1\r\n`).join(''))],
    [
      '3,000 headers, past what the parser keeps',
      413,
      get(Array.from({ length: 3_000 }, (_, index) => `x${index}: 1\r\n`).join('')),
    ],
    ['headers of 40 KiB', 413, get(`X-A: ${'a'.repeat(40_000)}\r\n`)],
    ['a path of 20 KiB', 413, get('', `/${'a'.repeat(20_000)}`)],
    ['dot segments', 400, get('', '/v1/../admin')],
    ['encoded dot segments', 400, get('', '/v1/%2e%2E/admin')],
    ['dot segments behind an encoded slash', 400, get('', '/v1%2f..%2fadmin')],
    ['dot segments with a parameter', 400, get('', '/v1/..;/admin')],
    ['a backslash', 400, get('', '/v1\\..\\admin')],
    ['an encoded line break', 400, get('', '/v1/x%0d%0aHost:%20evil')],
    ['a path that begins like an authority', 400, get('', `//${otherHost}/x`)],
    ['a fragment', 400, get('', '/v1/x#/admin')],
    ['broken percent-encoding', 400, get('', '/v1/%zz')],
    ['a path outside ASCII', 400, get('', '/v1/\xe9')],
    ['TRACE', 501, `TRACE /v1/x HTTP/1.1\r\n${host}\r\n`],
    ['CONNECT in the tunnel', 501, `CONNECT ${otherHost}:443 HTTP/1.1\r\nHost: ${otherHost}:443\r\n\r\n`],
    ['a method nobody knows', 400, `DESTROY /v1/x HTTP/1.1\r\n${host}\r\n`],
    ['PURGE', 501, `PURGE /v1/x HTTP/1.1\r\n${host}\r\n`],
    ['OPTIONS *', 400, `OPTIONS * HTTP/1.1\r\n${host}\r\n`],
    [
      'WebSocket',
      501,
      get(
        'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n',
      ),
    ],
    ['h2c', 501, get('Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n')],
    ['the HTTP/2 preface', 400, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['HTTP/0.9, which has no end', 408, 'GET /v1/x\r\n'],
    ['HTTP/1.0', 501, `GET /v1/x HTTP/1.0\r\n${host}\r\n`],
    ['HTTP/1.9', 400, `GET /v1/x HTTP/1.9\r\n${host}\r\n`],
    ['a strange expectation', 501, post('Expect: 200-ok\r\n', 'x')],
    ['trailers', 501, `POST /v1/x HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Late: 1\r\n\r\n`],
    [
      'an announced trailer',
      501,
      `POST /v1/x HTTP/1.1\r\n${host}Trailer: X-Late\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`,
    ],
    ['a chunk size with a sign', 400, `POST /v1/x HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n`],
    [
      'a chunk size past 2^64',
      400,
      `POST /v1/x HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx\r\n0\r\n\r\n`,
    ],
    [
      'a chunk that is longer than it says',
      400,
      `POST /v1/x HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1\r\nxGET / HTTP/1.1\r\n\r\n0\r\n\r\n`,
    ],
    [
      'a chunk extension of 20 KiB',
      413,
      `POST /v1/x HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1;a=${'b'.repeat(20_000)}\r\nx\r\n0\r\n\r\n`,
    ],
    ['a body over the limit', 413, post('', 'x'.repeat(65_537))],
    ['a length over the limit, and no body', 413, `POST /v1/x HTTP/1.1\r\n${host}Content-Length: 99999999999\r\n\r\n`],
    [
      'a chunked body over the limit',
      413,
      `POST /v1/x HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n10001\r\n${'x'.repeat(65_537)}\r\n0\r\n\r\n`,
    ],
    ['a gzip bomb', 413, post(`Content-Encoding: gzip\r\n`, gzipSync(Buffer.alloc(50_000_000)))],
    ['a brotli bomb', 413, post(`Content-Encoding: br\r\n`, brotliCompressSync(Buffer.alloc(5_000_000)))],
    ['a zstd bomb', 413, post(`Content-Encoding: zstd\r\n`, zstdCompressSync(Buffer.alloc(50_000_000)))],
    ['gzip in gzip', 422, post(`Content-Encoding: gzip, gzip\r\n`, gzipSync(gzipSync('{}')))],
    [
      'gzip of several members',
      422,
      post(`Content-Encoding: gzip\r\n`, Buffer.concat([gzipSync('{"query":'), gzipSync('"{ me }"}')])),
    ],
    [
      'gzip with something after it',
      422,
      post(`Content-Encoding: gzip\r\n`, Buffer.concat([gzipSync('{}'), Buffer.from('{"query":"x"}')])),
    ],
    ['gzip cut short', 422, post(`Content-Encoding: gzip\r\n`, gzipSync('{"query":"{ me }"}').subarray(0, 20))],
    ['raw deflate', 422, post(`Content-Encoding: deflate\r\n`, deflateRawSync('{}'))],
    ['an encoding that is said and not there', 422, post(`Content-Encoding: gzip\r\n`, '{}')],
    ['an unknown encoding', 422, post(`Content-Encoding: compress\r\n`, '{}')],
    ['an encoding hidden behind identity', 422, post(`Content-Encoding: identity, exotic\r\n`, '{}')],
  ]
  test.each(attacks)('%s', async (_name, status, bytes) => {
    const answer = await gate.inside(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, 'latin1'))
    expect(answer.status, answer.text.slice(0, 500)).toBe(status)
    expect(gate.standIn.text()).toBe('')
    expect(gate.fake.asked).toEqual([])
    expectNoSecret(answer)
  })

  test('the list is as long as promised', () => {
    expect(attacks.length).toBeGreaterThanOrEqual(60)
  })
})

describe('on the proxy port: refused, and no connection is made', () => {
  const attacks: readonly (readonly [name: string, status: number, authority: string, host?: string])[] = [
    ['an address', 403, '93.184.216.34:443'],
    ['loopback', 403, '127.0.0.1:443'],
    ['loopback by name', 403, 'localhost:443'],
    ['the metadata service', 403, '169.254.169.254:80'],
    ['the metadata service in decimal', 403, '2852039166:80'],
    ['the metadata service in hex', 403, '0xa9fea9fe:80'],
    ['IPv6', 400, '[::1]:443'],
    ['IPv6 that wraps IPv4', 400, '[::ffff:127.0.0.1]:443'],
    ['another port of a governed host', 403, `${governedHost}:22`],
    ['port 0', 400, `${governedHost}:0`],
    ['port 65536', 400, `${governedHost}:65536`],
    ['port 443 with a leading zero', 400, `${governedHost}:0443`],
    ['no port', 400, governedHost],
    ['a trailing dot', 400, `${governedHost}.:443`],
    ['user information', 400, `user@${governedHost}:443`],
    ['percent-encoding', 400, 'api%2ecloud.test:443'],
    ['a Cyrillic look-alike in punycode', 403, 'xn--pi-7kc.cloud.test:443'],
    ['a Cyrillic look-alike in UTF-8', 400, Buffer.from('аpi.cloud.test:443').toString('latin1')],
    ['a fullwidth dot', 400, Buffer.from('api。cloud.test:443').toString('latin1')],
    ['a soft hyphen', 400, Buffer.from('api.clo\u00adud.test:443').toString('latin1')],
    ['a subdomain', 403, `evil.${governedHost}:443`],
    ['a suffix', 403, `${governedHost}.evil.test:443`],
    ['an underscore', 400, `api_${governedHost}:443`],
    ['a host nobody governs', 403, `${otherHost}:443`],
    ['Host against the authority', 400, `${governedHost}:443`, `${otherHost}:443`],
    ['a label of 64', 400, `${'a'.repeat(64)}.test:443`],
  ]
  test.each(attacks)('CONNECT to %s', async (_name, status, authority, said) => {
    const before = gate.standIn.connections
    const answer = await gate.raw(
      Buffer.from(
        `CONNECT ${authority} HTTP/1.1\r\nHost: ${said ?? authority}\r\nProxy-Authorization: ${gate.basic}\r\n\r\n`,
        'latin1',
      ),
    )
    expect(answer.status, answer.text.slice(0, 500)).toBe(status)
    expect(gate.standIn.connections).toBe(before)
    expectNoSecret(answer)
  })

  const absolute: readonly (readonly [name: string, status: number, target: string, headers: string])[] = [
    ['a path', 400, '/v1/x', `Host: ${plainHost}\r\n`],
    ['https', 501, `https://${governedHost}/v1/x`, host],
    ['http to a host governed for https', 403, `http://${governedHost}/v1/x`, host],
    ['http to an address', 403, 'http://169.254.169.254/latest/meta-data/', 'Host: 169.254.169.254\r\n'],
    ['Host against the URL', 400, `http://${plainHost}/v1/x`, host],
    ['user information', 403, `http://user:password@${plainHost}/v1/x`, `Host: ${plainHost}\r\n`],
    ['a governed host as user', 403, `http://${plainHost}@${otherHost}/`, `Host: ${plainHost}\r\n`],
    ['a backslash in the authority', 400, `http://${plainHost}\\@${otherHost}/`, `Host: ${plainHost}\r\n`],
    ['another scheme', 400, `ftp://${plainHost}/`, `Host: ${plainHost}\r\n`],
    ['a tab in the authority', 400, `http://plain\t.cloud.test/`, `Host: ${plainHost}\r\n`],
  ]
  test.each(absolute)('absolute form: %s', async (_name, status, target, headers) => {
    const answer = await gate.raw(`GET ${target} HTTP/1.1\r\n${headers}Proxy-Authorization: ${gate.basic}\r\n\r\n`)
    expect(answer.status, answer.text.slice(0, 500)).toBe(status)
    expect(gate.plain.text()).toBe('')
    expect(gate.standIn.text()).toBe('')
  })

  test.each([
    ['bearer', `Bearer HANDLE`],
    ['twice the colon', `Basic ${Buffer.from('robot').toString('base64')}`],
    ['broken base64', 'Basic ****'],
    ['another agent with this handle', ''],
  ])('Proxy-Authorization as %s', async (name, value) => {
    const credentials = name.startsWith('another') ? basicOf(gate.handle, 'somebody') : value.replace('HANDLE', gate.handle)
    const answer = await gate.raw(
      `CONNECT ${governedHost}:443 HTTP/1.1\r\nHost: ${governedHost}:443\r\nProxy-Authorization: ${credentials}\r\n\r\n`,
    )
    expect(answer.status).toBe(407)
    expect(gate.fake.door.join()).not.toContain(gate.handle)
  })

  test.each([
    [
      'a length on CONNECT',
      `CONNECT ${governedHost}:443 HTTP/1.1\r\nHost: ${governedHost}:443\r\nContent-Length: 5\r\n\r\nhello`,
      400,
    ],
    ['the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['TLS where plain text is spoken', Buffer.from('16030100c8010000c40303', 'hex'), 400],
    ['a PostgreSQL client', Buffer.from('0000000804d2162f', 'hex'), 400],
  ])('%s', async (_name, bytes, status) => {
    const answer = await gate.raw(bytes)
    expect(answer.status).toBe(status)
    expect(gate.standIn.text()).toBe('')
  })
})

describe('in the handshake', () => {
  test('SNI against CONNECT: nothing arrives, and an alarm rings', async () => {
    const socket = await gate.tunnel({ servername: otherHost })
    const answer = await readAnswer(socket, `GET /v1/x HTTP/1.1\r\n${host}\r\n`)
    expect(answer.text).toBe('')
    await gate.fake.until(() => gate.fake.alarms.length === 1)
    expect(gate.fake.alarms[0]).toMatchObject({ kind: 'authority_mismatch', data: { where: 'SNI', said: otherHost } })
    expect(gate.standIn.text()).toBe('')
  })

  test('HTTP/2 only, TLS 1.1, and no TLS at all end in the handshake', async () => {
    const open = async (): Promise<ReturnType<typeof connect>> => {
      const socket = connect({ host: '127.0.0.1', port: gate.port })
      socket.on('error', () => undefined)
      socket.write(
        `CONNECT ${governedHost}:443 HTTP/1.1\r\nHost: ${governedHost}:443\r\nProxy-Authorization: ${gate.basic}\r\n\r\n`,
      )
      await new Promise<void>((resolve) => socket.once('data', () => resolve()))
      return socket
    }
    for (const options of [
      { ALPNProtocols: ['h2'] },
      { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' },
    ] as const) {
      const socket = await open()
      const secured = connectTls({ socket, servername: governedHost, ca: gate.authority, ...options })
      await expect(
        new Promise((resolve, reject) => secured.once('secureConnect', resolve).once('error', reject)),
      ).rejects.toThrow(/alert|version|protocol/i)
    }
    expect((await readAnswer(await open(), `GET /v1/x HTTP/1.1\r\n${host}\r\n`)).text).not.toContain('HTTP/1.1 200')
    expect(gate.standIn.text()).toBe('')
  })

  test('a client without SNI is served as the host it connected to', async () => {
    const socket = connect({ host: '127.0.0.1', port: gate.port })
    socket.write(
      `CONNECT ${governedHost}:443 HTTP/1.1\r\nHost: ${governedHost}:443\r\nProxy-Authorization: ${gate.basic}\r\n\r\n`,
    )
    await new Promise<void>((resolve) => socket.once('data', () => resolve()))
    const secured = connectTls({ socket, ca: gate.authority, host: governedHost })
    expect((await readAnswer(secured, `GET /v1/x HTTP/1.1\r\n${host}\r\n`)).status).toBe(200)
    expectDecidedOrNothing(gate.standIn)
  })
})

describe('what goes through is what was decided', () => {
  const bodies: readonly (readonly [name: string, bytes: string | Buffer])[] = [
    ['duplicate JSON keys', post(json, '{"query":"{ me { id } }","query":"mutation { volumeDelete(volumeId: 1) }"}')],
    ['keys that differ in case', post(json, '{"query":"{ me { id } }","Query":"mutation { volumeDelete(volumeId: 1) }"}')],
    ['a byte order mark', post(json, Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from('{"query":"{ me }"}')]))],
    ['UTF-16', post('Content-Type: application/json; charset=utf-16\r\n', Buffer.from('{"query":"{ me }"}', 'utf16le'))],
    ['broken UTF-8', post(json, Buffer.from([0x7b, 0xff, 0xfe, 0x7d]))],
    [
      'a chunked body with extensions',
      `POST /graphql/v2 HTTP/1.1\r\n${host}${json}Transfer-Encoding: chunked\r\n\r\n2;a="b\\";c"\r\n{}\r\n0;d\r\n\r\n`,
    ],
    ['chunks of one byte', `POST /graphql/v2 HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n`],
    [
      'Transfer-Encoding in capitals',
      `POST /graphql/v2 HTTP/1.1\r\n${host}Transfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
    ],
    ['a GET with a body', `GET /graphql/v2 HTTP/1.1\r\n${host}Content-Length: 2\r\n\r\n{}`],
    ['Host in capitals', `GET /v1/x HTTP/1.1\r\nHOST: API.Cloud.Test\r\n\r\n`],
    ['Host with the port of the scheme', `GET /v1/x HTTP/1.1\r\nHost: ${governedHost}:443\r\n\r\n`],
    ['the whole URL', `GET https://${governedHost}/v1/x HTTP/1.1\r\n${host}\r\n`],
    ['the handle once more, for the proxy', `GET /v1/x HTTP/1.1\r\n${host}Proxy-Authorization: HANDLE\r\n\r\n`],
    ['gzip', post('Content-Encoding: gzip\r\n', gzipSync('{"query":"{ me }"}'))],
    ['brotli', post('Content-Encoding: br\r\n', brotliCompressSync('{"query":"{ me }"}'))],
    ['zstd', post('Content-Encoding: zstd\r\n', zstdCompressSync('{"query":"{ me }"}'))],
    ['deflate', post('Content-Encoding: deflate\r\n', deflateSync('{"query":"{ me }"}'))],
  ]
  test.each(bodies)('%s', async (_name, bytes) => {
    const text = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.replace('HANDLE', gate.basic), 'latin1')
    const answer = await gate.inside(text)
    expect(answer.status, answer.text.slice(0, 500)).toBe(200)
    expect(gate.standIn.received).toHaveLength(1)
    expectDecidedOrNothing(gate.standIn)
    expectNoSecret(answer)
    expect(gate.standIn.text()).not.toContain(gate.handle)
    expect(gate.standIn.received[0]?.headers.filter(([name]) => name === 'transfer-encoding' || name === 'connection')).toEqual(
      [],
    )
  })

  test.each([
    ['gzip', gzipSync('{"query":"{ me }"}')],
    ['br', brotliCompressSync('{"query":"{ me }"}')],
    ['zstd', zstdCompressSync('{"query":"{ me }"}')],
    ['deflate', deflateSync('{"query":"{ me }"}')],
  ])('%s is opened for whoever decides, and forwarded as it came', async (coding, packed) => {
    await gate.inside(post(`Content-Encoding: ${coding}\r\n${json}`, packed))
    expect(gate.fake.asked[0]?.decoded).toMatchObject({ body: '{"query":"{ me }"}' })
    expect(gate.standIn.received[0]?.body.equals(packed)).toBe(true)
    expect(gate.standIn.received[0]?.headers).toContainEqual(['content-encoding', coding])
  })

  test('requests sent ahead run one after the other, each decided', async () => {
    const socket = await gate.tunnel()
    const one = (name: string): string => `POST /v1/${name} HTTP/1.1\r\n${host}Content-Length: 1\r\n\r\nx`
    socket.write(one('a') + one('b') + one('c'))
    await gate.standIn.until(() => gate.standIn.received.length === 3)
    socket.destroy()
    expect(gate.standIn.received.map(({ target }) => target)).toEqual(['/v1/a', '/v1/b', '/v1/c'])
    expectDecidedOrNothing(gate.standIn)
  })

  test('a request smuggled behind a refused one is not read', async () => {
    const smuggled = `POST /v1/x HTTP/1.1\r\n${host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/smuggled HTTP/1.1\r\n${host}\r\n`
    await gate.inside(smuggled)
    expect(gate.fake.asked).toEqual([])
    expect(gate.standIn.text()).toBe('')
  })

  test('100 requests sent ahead end the connection', async () => {
    const answer = await gate.inside(Array.from({ length: 100 }, () => `GET /v1/x HTTP/1.1\r\n${host}\r\n`).join(''))
    expect(answer.text).toBe('')
    expectDecidedOrNothing(gate.standIn)
  })

  test('Expect: 100-continue is answered, and the body taken', async () => {
    const answer = await gate.inside(post('Expect: 100-continue\r\n', '{}'))
    expect(answer.text).toMatch(/^HTTP\/1\.1 100 /)
    await gate.standIn.until(() => gate.standIn.received.length === 1)
    expectDecidedOrNothing(gate.standIn)
  })
})

describe('slow and silent clients', () => {
  test.each([
    ['nothing', ''],
    ['half a head', 'CONNECT api.cl'],
    ['a head without an end', `GET http://${plainHost}/ HTTP/1.1\r\nHost: ${plainHost}\r\nX-A: `],
  ])('%s on the proxy port: dropped', async (_name, bytes) => {
    const answer = await gate.raw(bytes)
    expect([0, 408]).toContain(answer.status)
  })

  test('half a body: dropped, and nothing arrives', async () => {
    const answer = await gate.inside(`POST /v1/x HTTP/1.1\r\n${host}Content-Length: 10\r\n\r\nhalf`)
    expect([0, 400, 408]).toContain(answer.status)
    expect(gate.standIn.text()).toBe('')
  })

  test('CONNECT and then silence: dropped', async () => {
    const socket = connect({ host: '127.0.0.1', port: gate.port })
    socket.on('error', () => undefined)
    socket.write(
      `CONNECT ${governedHost}:443 HTTP/1.1\r\nHost: ${governedHost}:443\r\nProxy-Authorization: ${gate.basic}\r\n\r\n`,
    )
    socket.resume()
    await new Promise((resolve) => socket.once('close', resolve))
    await gate.fake.until(() => gate.fake.sessionsOpen === 0)
    expect(gate.standIn.text()).toBe('')
  })
})

describe('what an upstream says', () => {
  const get = `GET /v1/x HTTP/1.1\r\n${host}\r\n`

  test('a redirect is passed on and not followed', async () => {
    gate.standIn.answer = () =>
      `HTTP/1.1 307 Temporary Redirect\r\nlocation: http://${plainHost}/elsewhere\r\ncontent-length: 0\r\n\r\n`
    const answer = await gate.inside(post('', 'x'))
    expect(answer.status).toBe(307)
    expect(gate.standIn.received).toHaveLength(1)
    expect(gate.plain.text()).toBe('')
  })

  const echoes: readonly (readonly [name: string, echo: (secret: string) => string])[] = [
    ['as it is', (secret) => secret],
    ['in percent-encoding', (secret) => [...secret].map((character) => (character === '-' ? '%2D' : character)).join('')],
    ['in base64', (secret) => Buffer.from(secret).toString('base64')],
    ['in base64, one byte on', (secret) => Buffer.from(`x${secret}y`).toString('base64')],
    ['in base64, two bytes on', (secret) => Buffer.from(`xx${secret}yy`).toString('base64')],
    ['in base64 of the header', (secret) => Buffer.from(`Bearer ${secret}`).toString('base64url')],
    ['in hex', (secret) => Buffer.from(secret).toString('hex')],
    ['in capitals', (secret) => secret.toUpperCase()],
    ['backwards', (secret) => [...secret].toReversed().join('')],
  ]
  test.each(echoes.filter(([name]) => !name.includes('percent')))('an echo of the credential %s', async (_name, echo) => {
    const said = echo(realSecret)
    gate.standIn.answer = () => jsonAnswer({ said }, 200, `x-echo: ${said}\r\nset-cookie: sid=${said}\r\n`)
    const answer = await gate.inside(get)
    expect(answer.status).toBe(200)
    const core = said.slice(4, -4)
    expect(answer.text).not.toContain(core)
    expect(answer.text).not.toMatch(/set-cookie/i)
    expect(answer.body).toMatch(/^\{"said":".*\*{8}.*"\}$/)
  })

  test('an echo cut into single bytes, and one in a gzip answer that nobody asked for', async () => {
    gate.standIn.answer = () => (socket) => {
      const body = `before ${realSecret} after`
      socket.write(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n`)
      for (const character of body) socket.write(`1\r\n${character}\r\n`)
      socket.write('0\r\n\r\n')
    }
    const answer = await gate.inside(get)
    expect(answer.text.replaceAll(/\r\n[0-9a-f]+\r\n/g, '')).not.toContain(realSecret.slice(4, -4))
    gate.standIn.answer = () => (socket) => {
      const packed = gzipSync(`{"said":"${realSecret}"}`)
      socket.write(
        Buffer.concat([
          Buffer.from(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${packed.length}\r\n\r\n`),
          packed,
        ]),
      )
    }
    const opened = await gate.inside(get)
    expect(opened.text).toContain(`{"said":"${'*'.repeat(realSecret.length)}"}`)
    expect(opened.text).not.toMatch(/content-encoding/i)
  })

  const broken: readonly (readonly [name: string, bytes: string])[] = [
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['an upgrade', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n'],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
    ['a folded header', 'HTTP/1.1 200 OK\r\nx-a: 1\r\n x-b: 2\r\ncontent-length: 0\r\n\r\n'],
    ['a zero byte in a header', 'HTTP/1.1 200 OK\r\nx-a: \0\r\ncontent-length: 0\r\n\r\n'],
    ['a bare line feed in a header', 'HTTP/1.1 200 OK\r\nx-a: 1\nx-b: 2\r\ncontent-length: 0\r\n\r\n'],
    ['a chunk size that is none', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'],
    ['an encoding that the gate cannot open', 'HTTP/1.1 200 OK\r\ncontent-encoding: compress\r\ncontent-length: 1\r\n\r\nx'],
    ['interim answers without end', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(20)],
  ]
  test.each(broken)('an answer with %s: a bad gateway, and the outcome is unknown', async (_name, bytes) => {
    gate.standIn.answer = () => bytes
    const answer = await gate.inside(post('', 'x', '/v1/x'))
    expect(answer.status, answer.text.slice(0, 300)).toBe(502)
    expect(gate.fake.outcomes).toMatchObject([{ outcome: { result: 'unknown' } }])
    expectNoSecret(answer)
  })

  test('a second answer behind the first (response splitting) reaches nobody', async () => {
    gate.standIn.answer = () => `${jsonAnswer({ first: true })}${jsonAnswer({ planted: true })}`
    const first = await gate.inside(get)
    gate.standIn.answer = () => jsonAnswer({ second: true })
    const second = await gate.inside(get)
    expect(`${first.text}${second.text}`).not.toContain('planted')
    expect(second.body).toBe('{"second":true}')
  })

  test('an answer that breaks off is not given as whole', async () => {
    gate.standIn.answer = () => (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf')
    const answer = await gate.inside(post('', 'x', '/v1/x'))
    expect(answer.body.length).toBeLessThan(100)
    await gate.fake.until(() => gate.fake.outcomes.length === 1)
    expect(gate.fake.outcomes).toMatchObject([{ outcome: { result: 'unknown' } }])
  })
})
