import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { expectNoSecret, hostLine, postBytes } from '../../../../../tests/fakes/http-decided.ts'
import { plainHost, realSecret, shortLimits, startHttpGate, type HttpGate } from '../../../../../tests/fakes/http-gate.ts'
import { jsonAnswer } from '../../../../../tests/fakes/http-upstream.ts'

/** Each attack ends in one of two ways: the upstream got exactly the bytes that were decided, or it got nothing. */
let gate: HttpGate

beforeAll(async () => {
  gate = await startHttpGate({}, shortLimits)
})
afterAll(() => gate.stop())
beforeEach(() => gate.reset())

describe('what an upstream says', () => {
  const get = `GET /v1/x HTTP/1.1\r\n${hostLine}\r\n`

  test('a redirect is passed on and not followed', async () => {
    gate.standIn.answer = () =>
      `HTTP/1.1 307 Temporary Redirect\r\nlocation: http://${plainHost}/elsewhere\r\ncontent-length: 0\r\n\r\n`
    const answer = await gate.inside(postBytes('', 'x'))
    expect(answer.status).toBe(307)
    expect(gate.standIn.received).toHaveLength(1)
    expect(gate.plain.text()).toBe('')
  })

  const echoes: readonly (readonly [name: string, echo: (secret: string) => string])[] = [
    ['as it is', (secret) => secret],
    [
      'in percent-encoding',
      (secret) =>
        Buffer.from(secret)
          .toString('hex')
          .replaceAll(/../g, (hex) => `%${hex}`),
    ],
    [
      'in JSON escapes',
      (secret) =>
        Buffer.from(secret)
          .toString('hex')
          .replaceAll(/../g, (hex) => `\\u00${hex}`),
    ],
    ['in base64', (secret) => Buffer.from(secret).toString('base64')],
    ['in base64, one byte on', (secret) => Buffer.from(`x${secret}y`).toString('base64')],
    ['in base64, two bytes on', (secret) => Buffer.from(`xx${secret}yy`).toString('base64')],
    ['in base64 of the header', (secret) => Buffer.from(`Bearer ${secret}`).toString('base64url')],
    ['in hex', (secret) => Buffer.from(secret).toString('hex')],
    ['in capitals', (secret) => secret.toUpperCase()],
    ['backwards', (secret) => Buffer.from(secret).reverse().toString()],
  ]
  test.each(echoes)('an echo of the credential %s', async (_name, echo) => {
    const said = echo(realSecret)
    const body = `{"said":"${said}"}`
    gate.standIn.answer = () =>
      `HTTP/1.1 200 OK\r\nx-echo: ${said}\r\nset-cookie: sid=${said}\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    const answer = await gate.inside(get)
    expect(answer.status).toBe(200)
    const core = said.slice(6, -6)
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
    const answer = await gate.inside(postBytes('', 'x', '/v1/x'))
    expect(answer.status, answer.text.slice(0, 300)).toBe(502)
    expect(gate.fake.outcomes).toMatchObject([{ outcome: { result: 'unknown' } }])
    expectNoSecret(gate, answer)
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
    const answer = await gate.inside(postBytes('', 'x', '/v1/x'))
    expect(answer.body.length).toBeLessThan(100)
    await gate.fake.until(() => gate.fake.outcomes.length === 1)
    expect(gate.fake.outcomes).toMatchObject([{ outcome: { result: 'unknown' } }])
  })
})
