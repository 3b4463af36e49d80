import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { expectDecidedOrNothing, expectNoSecret, hostLine, postBytes } from '../../../../../tests/fakes/http-decided.ts'
import {
  governedHost,
  otherHost,
  plainHost,
  shortLimits,
  startHttpGate,
  type HttpGate,
} from '../../../../../tests/fakes/http-gate.ts'

/** Each attack ends in one of two ways: the upstream got exactly the bytes that were decided, or it got nothing. */
let gate: HttpGate

beforeAll(async () => {
  gate = await startHttpGate({}, shortLimits)
})
afterAll(() => gate.stop())
beforeEach(() => gate.reset())

const json = 'Content-Type: application/json\r\n'

describe('inside a tunnel: refused, and nothing arrives', () => {
  const get = (headers: string, target = '/v1/x'): string => `GET ${target} HTTP/1.1\r\n${hostLine}${headers}\r\n`
  const attacks: readonly (readonly [name: string, status: number, bytes: string | Buffer])[] = [
    ['two Host headers', 400, get(`Host: ${otherHost}\r\n`)],
    ['two equal Host headers', 400, get(hostLine)],
    ['no Host', 400, 'GET /v1/x HTTP/1.1\r\n\r\n'],
    ['an empty Host', 400, 'GET /v1/x HTTP/1.1\r\nHost: \r\n\r\n'],
    ['Host of another governed host', 400, `GET /v1/x HTTP/1.1\r\nHost: ${plainHost}\r\n\r\n`],
    ['Host with another port', 400, `GET /v1/x HTTP/1.1\r\nHost: ${governedHost}:8443\r\n\r\n`],
    ['Host with a trailing dot', 400, `GET /v1/x HTTP/1.1\r\nHost: ${governedHost}.\r\n\r\n`],
    ['Host with user information', 400, `GET /v1/x HTTP/1.1\r\nHost: x@${governedHost}\r\n\r\n`],
    ['Host with a blank inside', 400, `GET /v1/x HTTP/1.1\r\nHost: ${governedHost} ${otherHost}\r\n\r\n`],
    ['Host in percent-encoding', 400, 'GET /v1/x HTTP/1.1\r\nHost: api%2ecloud.test\r\n\r\n'],
    ['an absolute URL of another host', 400, `GET https://${otherHost}/v1/x HTTP/1.1\r\n${hostLine}\r\n`],
    ['an absolute URL with another scheme', 400, `GET http://${governedHost}/v1/x HTTP/1.1\r\n${hostLine}\r\n`],
    ['an absolute URL with user information', 403, `GET https://user:pw@${governedHost}/v1/x HTTP/1.1\r\n${hostLine}\r\n`],
    [
      'Content-Length twice, different',
      400,
      `POST /v1/x HTTP/1.1\r\n${hostLine}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx`,
    ],
    ['Content-Length twice, equal', 400, `POST /v1/x HTTP/1.1\r\n${hostLine}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx`],
    ['Content-Length as a list', 400, `POST /v1/x HTTP/1.1\r\n${hostLine}Content-Length: 1, 1\r\n\r\nx`],
    ['Content-Length with a sign', 400, `POST /v1/x HTTP/1.1\r\n${hostLine}Content-Length: +1\r\n\r\nx`],
    ['Content-Length in hex', 400, `POST /v1/x HTTP/1.1\r\n${hostLine}Content-Length: 0x1\r\n\r\nx`],
    ['Content-Length with leading zeros', 400, `POST /v1/x HTTP/1.1\r\n${hostLine}Content-Length: 01\r\n\r\nx`],
    [
      'Content-Length and Transfer-Encoding',
      400,
      `POST /v1/x HTTP/1.1\r\n${hostLine}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'Transfer-Encoding that is no chunked',
      400,
      `POST /v1/x HTTP/1.1\r\n${hostLine}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'Transfer-Encoding: identity, chunked',
      400,
      `POST /v1/x HTTP/1.1\r\n${hostLine}Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'Transfer-Encoding: gzip, chunked',
      400,
      `POST /v1/x HTTP/1.1\r\n${hostLine}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'Transfer-Encoding: chunked, identity',
      400,
      `POST /v1/x HTTP/1.1\r\n${hostLine}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
    ],
    [
      'Transfer-Encoding twice',
      400,
      `POST /v1/x HTTP/1.1\r\n${hostLine}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'Transfer-Encoding with a blank before the colon',
      400,
      `POST /v1/x HTTP/1.1\r\n${hostLine}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'Transfer-Encoding after a vertical tab',
      400,
      `POST /v1/x HTTP/1.1\r\n${hostLine}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`,
    ],
    ['a folded header', 400, get('X-Fold: a\r\n b\r\n')],
    ['a folded Transfer-Encoding', 400, `POST /v1/x HTTP/1.1\r\n${hostLine}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`],
    ['a zero byte in a header', 400, get('X-A: a\0b\r\n')],
    ['a zero byte in the path', 400, get('', '/v1/\0x')],
    ['a bare carriage return in a header', 400, get('X-A: a\rX-B: b\r\n')],
    ['bare line feeds', 400, `GET /v1/x HTTP/1.1\n${hostLine.replace('\r', '')}\n`],
    ['a header outside ASCII', 400, get('X-A: \xc3\xa9\r\n')],
    ['a header name with a blank', 400, get('X A: b\r\n')],
    ['an underscore for a hyphen', 400, get('X_Http_Method: DELETE\r\n')],
    ['a method override', 400, postBytes('X-HTTP-Method-Override: DELETE\r\n', 'x')],
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
    ['TRACE', 501, `TRACE /v1/x HTTP/1.1\r\n${hostLine}\r\n`],
    ['CONNECT in the tunnel', 501, `CONNECT ${otherHost}:443 HTTP/1.1\r\nHost: ${otherHost}:443\r\n\r\n`],
    ['a method nobody knows', 400, `DESTROY /v1/x HTTP/1.1\r\n${hostLine}\r\n`],
    ['PURGE', 501, `PURGE /v1/x HTTP/1.1\r\n${hostLine}\r\n`],
    ['OPTIONS *', 400, `OPTIONS * HTTP/1.1\r\n${hostLine}\r\n`],
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
    ['HTTP/1.0', 501, `GET /v1/x HTTP/1.0\r\n${hostLine}\r\n`],
    ['HTTP/1.9', 400, `GET /v1/x HTTP/1.9\r\n${hostLine}\r\n`],
    ['a strange expectation', 501, postBytes('Expect: 200-ok\r\n', 'x')],
    ['trailers', 501, `POST /v1/x HTTP/1.1\r\n${hostLine}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Late: 1\r\n\r\n`],
    [
      'an announced trailer',
      501,
      `POST /v1/x HTTP/1.1\r\n${hostLine}Trailer: X-Late\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`,
    ],
    ['a chunk size with a sign', 400, `POST /v1/x HTTP/1.1\r\n${hostLine}Transfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n`],
    [
      'a chunk size past 2^64',
      400,
      `POST /v1/x HTTP/1.1\r\n${hostLine}Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx\r\n0\r\n\r\n`,
    ],
    [
      'a chunk that is longer than it says',
      400,
      `POST /v1/x HTTP/1.1\r\n${hostLine}Transfer-Encoding: chunked\r\n\r\n1\r\nxGET / HTTP/1.1\r\n\r\n0\r\n\r\n`,
    ],
    [
      'a chunk extension of 20 KiB',
      413,
      `POST /v1/x HTTP/1.1\r\n${hostLine}Transfer-Encoding: chunked\r\n\r\n1;a=${'b'.repeat(20_000)}\r\nx\r\n0\r\n\r\n`,
    ],
    ['a body over the limit', 413, postBytes('', 'x'.repeat(65_537))],
    ['a length over the limit, and no body', 413, `POST /v1/x HTTP/1.1\r\n${hostLine}Content-Length: 99999999999\r\n\r\n`],
    [
      'a chunked body over the limit',
      413,
      `POST /v1/x HTTP/1.1\r\n${hostLine}Transfer-Encoding: chunked\r\n\r\n10001\r\n${'x'.repeat(65_537)}\r\n0\r\n\r\n`,
    ],
    ['a gzip bomb', 413, postBytes(`Content-Encoding: gzip\r\n`, gzipSync(Buffer.alloc(50_000_000)))],
    ['a brotli bomb', 413, postBytes(`Content-Encoding: br\r\n`, brotliCompressSync(Buffer.alloc(5_000_000)))],
    ['a zstd bomb', 413, postBytes(`Content-Encoding: zstd\r\n`, zstdCompressSync(Buffer.alloc(50_000_000)))],
    ['gzip in gzip', 422, postBytes(`Content-Encoding: gzip, gzip\r\n`, gzipSync(gzipSync('{}')))],
    [
      'gzip of several members',
      422,
      postBytes(`Content-Encoding: gzip\r\n`, Buffer.concat([gzipSync('{"query":'), gzipSync('"{ me }"}')])),
    ],
    [
      'gzip with something after it',
      422,
      postBytes(`Content-Encoding: gzip\r\n`, Buffer.concat([gzipSync('{}'), Buffer.from('{"query":"x"}')])),
    ],
    ['gzip cut short', 422, postBytes(`Content-Encoding: gzip\r\n`, gzipSync('{"query":"{ me }"}').subarray(0, 20))],
    ['raw deflate', 422, postBytes(`Content-Encoding: deflate\r\n`, deflateRawSync('{}'))],
    ['an encoding that is said and not there', 422, postBytes(`Content-Encoding: gzip\r\n`, '{}')],
    ['an unknown encoding', 422, postBytes(`Content-Encoding: compress\r\n`, '{}')],
    ['an encoding hidden behind identity', 422, postBytes(`Content-Encoding: identity, exotic\r\n`, '{}')],
  ]
  test.each(attacks)('%s', async (_name, status, bytes) => {
    const answer = await gate.inside(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, 'latin1'))
    expect(answer.status, answer.text.slice(0, 500)).toBe(status)
    expect(gate.standIn.text()).toBe('')
    expect(gate.fake.asked).toEqual([])
    expectNoSecret(gate, answer)
  })

  test('the list is as long as promised', () => {
    expect(attacks.length).toBeGreaterThanOrEqual(60)
  })
})

describe('what goes through is what was decided', () => {
  const bodies: readonly (readonly [name: string, bytes: string | Buffer])[] = [
    ['duplicate JSON keys', postBytes(json, '{"query":"{ me { id } }","query":"mutation { volumeDelete(volumeId: 1) }"}')],
    ['keys that differ in case', postBytes(json, '{"query":"{ me { id } }","Query":"mutation { volumeDelete(volumeId: 1) }"}')],
    ['a byte order mark', postBytes(json, Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from('{"query":"{ me }"}')]))],
    ['UTF-16', postBytes('Content-Type: application/json; charset=utf-16\r\n', Buffer.from('{"query":"{ me }"}', 'utf16le'))],
    ['broken UTF-8', postBytes(json, Buffer.from([0x7b, 0xff, 0xfe, 0x7d]))],
    [
      'a chunked body with extensions',
      `POST /graphql/v2 HTTP/1.1\r\n${hostLine}${json}Transfer-Encoding: chunked\r\n\r\n2;a="b\\";c"\r\n{}\r\n0;d\r\n\r\n`,
    ],
    [
      'chunks of one byte',
      `POST /graphql/v2 HTTP/1.1\r\n${hostLine}Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n`,
    ],
    [
      'Transfer-Encoding in capitals',
      `POST /graphql/v2 HTTP/1.1\r\n${hostLine}Transfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
    ],
    ['a GET with a body', `GET /graphql/v2 HTTP/1.1\r\n${hostLine}Content-Length: 2\r\n\r\n{}`],
    ['Host in capitals', `GET /v1/x HTTP/1.1\r\nHOST: API.Cloud.Test\r\n\r\n`],
    ['Host with the port of the scheme', `GET /v1/x HTTP/1.1\r\nHost: ${governedHost}:443\r\n\r\n`],
    ['the whole URL', `GET https://${governedHost}/v1/x HTTP/1.1\r\n${hostLine}\r\n`],
    ['the handle once more, for the proxy', `GET /v1/x HTTP/1.1\r\n${hostLine}Proxy-Authorization: HANDLE\r\n\r\n`],
    ['gzip', postBytes('Content-Encoding: gzip\r\n', gzipSync('{"query":"{ me }"}'))],
    ['brotli', postBytes('Content-Encoding: br\r\n', brotliCompressSync('{"query":"{ me }"}'))],
    ['zstd', postBytes('Content-Encoding: zstd\r\n', zstdCompressSync('{"query":"{ me }"}'))],
    ['deflate', postBytes('Content-Encoding: deflate\r\n', deflateSync('{"query":"{ me }"}'))],
  ]
  test.each(bodies)('%s', async (_name, bytes) => {
    const text = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.replace('HANDLE', gate.basic), 'latin1')
    const answer = await gate.inside(text)
    expect(answer.status, answer.text.slice(0, 500)).toBe(200)
    expect(gate.standIn.received).toHaveLength(1)
    expectDecidedOrNothing(gate, gate.standIn)
    expectNoSecret(gate, answer)
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
    await gate.inside(postBytes(`Content-Encoding: ${coding}\r\n${json}`, packed))
    expect(gate.fake.asked[0]?.decoded).toMatchObject({ body: '{"query":"{ me }"}' })
    expect(gate.standIn.received[0]?.body.equals(packed)).toBe(true)
    expect(gate.standIn.received[0]?.headers).toContainEqual(['content-encoding', coding])
  })

  test('requests sent ahead run one after the other, each decided', async () => {
    const socket = await gate.tunnel()
    const one = (name: string): string => `POST /v1/${name} HTTP/1.1\r\n${hostLine}Content-Length: 1\r\n\r\nx`
    socket.write(one('a') + one('b') + one('c'))
    await gate.standIn.until(() => gate.standIn.received.length === 3)
    socket.destroy()
    expect(gate.standIn.received.map(({ target }) => target)).toEqual(['/v1/a', '/v1/b', '/v1/c'])
    expectDecidedOrNothing(gate, gate.standIn)
  })

  test('a request smuggled behind a refused one is not read', async () => {
    const smuggled = `POST /v1/x HTTP/1.1\r\n${hostLine}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/smuggled HTTP/1.1\r\n${hostLine}\r\n`
    await gate.inside(smuggled)
    expect(gate.fake.asked).toEqual([])
    expect(gate.standIn.text()).toBe('')
  })

  test('100 requests sent ahead end the connection', async () => {
    const answer = await gate.inside(Array.from({ length: 100 }, () => `GET /v1/x HTTP/1.1\r\n${hostLine}\r\n`).join(''))
    expect(answer.text).toBe('')
    expectDecidedOrNothing(gate, gate.standIn)
  })

  test('Expect: 100-continue is answered, and the body taken', async () => {
    const answer = await gate.inside(postBytes('Expect: 100-continue\r\n', '{}'))
    expect(answer.text).toMatch(/^HTTP\/1\.1 100 /)
    await gate.standIn.until(() => gate.standIn.received.length === 1)
    expectDecidedOrNothing(gate, gate.standIn)
  })
})
