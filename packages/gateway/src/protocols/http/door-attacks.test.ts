import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { expectDecidedOrNothing, expectNoSecret, hostLine } from '../../../../../tests/fakes/http-decided.ts'
import {
  basicOf,
  governedHost,
  otherHost,
  plainHost,
  readAnswer,
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
    expectNoSecret(gate, answer)
  })

  const absolute: readonly (readonly [name: string, status: number, target: string, headers: string])[] = [
    ['a path', 400, '/v1/x', `Host: ${plainHost}\r\n`],
    ['https', 501, `https://${governedHost}/v1/x`, hostLine],
    ['http to a host governed for https', 403, `http://${governedHost}/v1/x`, hostLine],
    ['http to an address', 403, 'http://169.254.169.254/latest/meta-data/', 'Host: 169.254.169.254\r\n'],
    ['Host against the URL', 400, `http://${plainHost}/v1/x`, hostLine],
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
    const answer = await readAnswer(socket, `GET /v1/x HTTP/1.1\r\n${hostLine}\r\n`)
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
    expect((await readAnswer(await open(), `GET /v1/x HTTP/1.1\r\n${hostLine}\r\n`)).text).not.toContain('HTTP/1.1 200')
    expect(gate.standIn.text()).toBe('')
  })

  test('a client without SNI is served as the host it connected to', async () => {
    const socket = connect({ host: '127.0.0.1', port: gate.port })
    socket.write(
      `CONNECT ${governedHost}:443 HTTP/1.1\r\nHost: ${governedHost}:443\r\nProxy-Authorization: ${gate.basic}\r\n\r\n`,
    )
    await new Promise<void>((resolve) => socket.once('data', () => resolve()))
    const secured = connectTls({ socket, ca: gate.authority, host: governedHost })
    expect((await readAnswer(secured, `GET /v1/x HTTP/1.1\r\n${hostLine}\r\n`)).status).toBe(200)
    expectDecidedOrNothing(gate, gate.standIn)
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
    const answer = await gate.inside(`POST /v1/x HTTP/1.1\r\n${hostLine}Content-Length: 10\r\n\r\nhalf`)
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
