import { execFile } from 'node:child_process'
import { connect as connectPlain, type Socket } from 'node:net'
import { connect } from 'node:tls'
import { promisify } from 'node:util'
import { ProxyAgent, request } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openAuthority, type Authority } from '../../../../../tests/fakes/authority.ts'
import { governedHost, startHttpGate, type HttpGate } from '../../../../../tests/fakes/http-gate.ts'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'

const run = promisify(execFile)
const headersTimeoutMs = 1_500
let folder: string
let authority: Authority
let gate: HttpGate

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sp-front-'))
  authority = await openAuthority(join(folder, 'authority'), { nowMs: () => Date.now() })
  writeFileSync(join(folder, 'proxy.pem'), authority.certificate)
  gate = await startHttpGate({}, { tls: { certificate: () => authority.issue('localhost') }, headersTimeoutMs })
})
afterAll(async () => {
  await gate.stop()
  rmSync(folder, { recursive: true })
})

async function curl(proxy: string, ...more: readonly string[]): Promise<string> {
  const trust = ['--proxy-cacert', join(folder, 'proxy.pem'), '--cacert', gate.authorityFile]
  const words = ['-sS', '--max-time', '20', ...trust, '-x', proxy, ...more, `https://${governedHost}/v1/things`]
  return run('curl', words).then(
    ({ stdout }) => stdout,
    (error: unknown) => (error instanceof Error ? error.message : 'failed'),
  )
}

describe('one port, plain and over TLS', () => {
  test('curl by https:// and by http://', async () => {
    expect(await curl(`https://robot:${gate.handle}@localhost:${gate.port}`)).toBe('{"data":{"ok":true}}')
    expect(await curl(`http://robot:${gate.handle}@localhost:${gate.port}`)).toBe('{"data":{"ok":true}}')
  })

  test('undici, two requests over one TLS connection to the proxy', async () => {
    const agent = new ProxyAgent({
      uri: `https://robot:${gate.handle}@localhost:${gate.port}`,
      proxyTls: { ca: authority.certificate },
      requestTls: { ca: gate.authority },
    })
    for (const path of ['one', 'two']) {
      const answer = await request(`https://${governedHost}/v1/${path}`, { dispatcher: agent })
      expect(await answer.body.json()).toEqual({ data: { ok: true } })
    }
    await agent.close()
  })

  test('a certificate of another name, or of nobody, is the client’s to refuse', async () => {
    expect(await curl(`https://robot:${gate.handle}@127.0.0.1:${gate.port}`)).toContain('SSL')
  })
})

describe('what is neither', () => {
  function closedAfter(bytes: Buffer, open: () => Socket): Promise<number> {
    const from = performance.now()
    const socket = open()
    socket.on('error', () => undefined)
    socket.resume()
    if (bytes.length > 0) socket.write(bytes)
    return new Promise((resolve) => socket.once('close', () => resolve(performance.now() - from)))
  }

  test('nothing, half a handshake, half a head, garbage: dropped in time, plain and inside TLS', async () => {
    const plain = (): Socket => connectPlain({ host: '127.0.0.1', port: gate.port })
    const secure = (): Socket =>
      connect({ host: '127.0.0.1', port: gate.port, servername: 'localhost', ca: authority.certificate })
    const half = Buffer.from('CONNECT api.cloud.test:443 HTTP/1.1\r\nhost: ')
    const took = await Promise.all([
      closedAfter(Buffer.alloc(0), plain),
      closedAfter(Buffer.from([0x16, 3, 1, 2, 0]), plain),
      closedAfter(half, plain),
      closedAfter(half, secure),
      closedAfter(Buffer.from([0, 1, 2, 3]), plain),
      closedAfter(Buffer.from([0, 1, 2, 3]), secure),
    ])
    for (const ms of took) expect(ms).toBeLessThan(headersTimeoutMs + 60_000)
    expect(gate.standIn.open + gate.plain.open).toBeLessThan(10)
    expect(await curl(`https://robot:${gate.handle}@localhost:${gate.port}`)).toBe('{"data":{"ok":true}}')
  })
})

describe('from another machine, without TLS', () => {
  /** The machine's own address on a network: who comes from it is taken for another machine. */
  const [outer] = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)

  test('who is turned away and stays takes nobody’s place', async () => {
    const host = outer?.address ?? ''
    expect(host, 'an IPv4 address of this machine on a network').not.toBe('')
    const open = await startHttpGate(
      {},
      { host: '0.0.0.0', tls: { certificate: () => authority.issue('localhost') }, connectionsMax: 4 },
    )
    const idle: Socket[] = []
    try {
      const closed: Promise<unknown>[] = []
      for (let count = 0; count < 8; count += 1) {
        const socket = connectPlain({ host, port: open.port, allowHalfOpen: true })
        idle.push(socket.on('error', () => undefined).resume())
        closed.push(new Promise((resolve) => socket.once('end', resolve)))
        socket.write('GET')
      }
      await Promise.all(closed)
      const admitted = async (): Promise<boolean> =>
        new Promise((resolve) => {
          const socket = connect({ host, port: open.port, servername: 'localhost', ca: authority.certificate })
          socket
            .once('secureConnect', () => resolve(true))
            .once('close', () => resolve(false))
            .on('error', () => undefined)
          idle.push(socket)
        })
      await expect.poll(admitted, { timeout: 8_000, interval: 200 }).toBe(true)
    } finally {
      for (const socket of idle) socket.destroy()
      await open.stop()
    }
  })
})
