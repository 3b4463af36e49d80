import { createServer, connect, type Server } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { governedHost, otherHost, startHttpGate, type HttpGate } from '../../../../../tests/fakes/http-gate.ts'

/** Hosts that nobody governs: refused, but those that configuration names, which are passed on as they are, under scope and kill switch. */

const tunnelled: string[] = []
let far: Server
let gate: HttpGate

beforeAll(async () => {
  far = createServer((socket) => socket.pipe(socket))
  await new Promise<void>((resolve) => far.listen(0, '127.0.0.1', () => resolve()))
  const address = far.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  gate = await startHttpGate({}, { unread: new Map([[otherHost, 'internet']]) }, {}, async (host, at) => {
    tunnelled.push(`${host}:${at}`)
    return connect({ host: '127.0.0.1', port })
  })
})
afterAll(async () => {
  await gate.stop()
  await new Promise((resolve) => far.close(resolve))
})
beforeEach(() => {
  tunnelled.length = 0
})

/** What came back to CONNECT, and to a word sent through. */
function knock(authority: string, version = '1.1', handle = gate.handle): Promise<string> {
  const basic = Buffer.from(`robot:${handle}`).toString('base64')
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port: gate.port })
    let heard = ''
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1')
      if (heard.endsWith('established\r\n\r\n')) socket.write('word')
      if (heard.endsWith('word') || /^HTTP\/1\.1 [45]/.test(heard)) socket.destroy()
    })
    socket.once('close', () => resolve(heard))
    socket.write(`CONNECT ${authority} HTTP/${version}\r\nHost: ${authority}\r\nProxy-Authorization: Basic ${basic}\r\n\r\n`)
  })
}

describe('unread hosts', () => {
  test('a named one is passed on, also when asked for in HTTP/1.0', async () => {
    expect(await knock(`${otherHost}:443`)).toBe('HTTP/1.1 200 Connection established\r\n\r\nword')
    expect(await knock(`${otherHost}:443`, '1.0')).toBe('HTTP/1.1 200 Connection established\r\n\r\nword')
    expect(tunnelled).toEqual([`${otherHost}:443`, `${otherHost}:443`])
  })

  test.each([
    ['another host', 'elsewhere.test:443'],
    ['a host below it', `x.${otherHost}:443`],
    ['a host it is the start of', `${otherHost}.evil.test:443`],
    ['with a trailing dot', `${otherHost}.:443`],
    ['another port', `${otherHost}:22`],
    ['an address', '127.0.0.1:443'],
    ['a cloud’s metadata', '169.254.169.254:443'],
  ])('%s is not', async (_name, authority) => {
    expect(await knock(authority)).toMatch(/^HTTP\/1\.1 4\d\d/)
    expect(tunnelled).toEqual([])
  })

  test('nobody without a handle, and nobody without scope on its name', async () => {
    expect(await knock(`${otherHost}:443`, '1.1', 'f'.repeat(32))).toMatch(/^HTTP\/1\.1 407/)
    const narrow = await startHttpGate({ upstreams: ['cloud'] }, { unread: new Map([[otherHost, 'internet']]) })
    const answer = await narrow.tunnel({ host: otherHost }).then(String, (error: unknown) => String(error))
    await narrow.stop()
    expect(answer).toMatch(/HTTP\/1\.1 403/)
    expect(tunnelled).toEqual([])
  })

  test('a governed host is read, however it is asked for', async () => {
    const answer = await gate.inside(`GET /v1/x HTTP/1.1\r\nHost: ${governedHost}\r\n\r\n`)
    expect(answer.status).toBe(200)
    expect(tunnelled).toEqual([])
  })
})
