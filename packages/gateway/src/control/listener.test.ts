import { createServer, get, type Server } from 'node:http'
import { connect } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { findFreePort } from '../../../../tests/servers/postgres.ts'
import { makePeopleBench, operatorToken, operatorTokenSha256 } from '../../../../tests/fakes/people.ts'
import { startControl } from './index.ts'
import { listenOnLoopback } from './listener.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

function squat(host: string, port: number): Promise<Server> {
  const server = createServer()
  open.push(server)
  return new Promise((resolve) => server.listen({ host, port }, () => resolve(server)))
}

test('owns 127.0.0.1 and ::1 on one port', async () => {
  const servers = await listenOnLoopback(0, (_incoming, outgoing) => outgoing.end('ours'))
  open.push(servers)
  expect(servers.addresses).toEqual(expect.arrayContaining(['127.0.0.1', '::1']))
  for (const host of ['127.0.0.1', '::1']) {
    const text = await new Promise<string>((resolve) =>
      get({ host, port: servers.port }, (answer) => answer.on('data', (chunk: Buffer) => resolve(chunk.toString()))),
    )
    expect(text).toBe('ours')
  }
})

test.each(['127.0.0.1', '::1', '0.0.0.0', '::'])(
  'does not start when %s is somebody else’s, and leaves nothing listening',
  async (host) => {
    const port = await findFreePort()
    await squat(host, port)
    await expect(listenOnLoopback(port, () => undefined)).rejects.toThrow(`Somebody else listens on`)
    // The squatter is alone again: whatever we had taken was given back.
    for (const one of open.splice(0)) await one.close()
    for (const address of ['127.0.0.1', '::1']) await squat(address, port)
  },
)

test('nobody can take one of the addresses afterwards', async () => {
  const servers = await listenOnLoopback(0, () => undefined)
  open.push(servers)
  for (const host of ['127.0.0.1', '::1', '::', '0.0.0.0']) {
    const error = await new Promise((resolve) => createServer().once('error', resolve).listen({ host, port: servers.port }))
    expect(error).toMatchObject({ code: 'EADDRINUSE' })
  }
})

test('over a real socket: the API answers, garbage is dropped, and closing leaves nothing', async () => {
  const bench = makePeopleBench()
  const listener = await startControl(bench.ports, { port: 0, operatorTokenSha256 })
  open.push(listener)
  const answer = await fetch(`${listener.url}/api/v1/status`, { headers: { authorization: `Bearer ${operatorToken}` } })
  expect(await answer.json()).toMatchObject({ people: 0 })
  const rest = await new Promise<string>((resolve) => {
    const socket = connect({ host: '127.0.0.1', port: listener.port }, () => socket.write('\u0000\u0001garbage\r\n\r\n'))
    let text = ''
    socket.on('data', (chunk) => (text += chunk.toString())).on('close', () => resolve(text))
  })
  expect(rest).toMatch(/^HTTP\/1\.1 400/)
  const large = await fetch(`${listener.url}/sign-in`, { headers: { 'x-large': 'x'.repeat(20_000) } })
  expect(large.status).toBe(431)
  await listener.close()
  await expect(fetch(`${listener.url}/api/v1/status`)).rejects.toThrow('fetch failed')
})

test('an absolute request target does not get around the Host check', async () => {
  const bench = makePeopleBench()
  const listener = await startControl(bench.ports, { port: 0, operatorTokenSha256 })
  open.push(listener)
  const said = await new Promise<string>((resolve) => {
    const socket = connect({ host: '127.0.0.1', port: listener.port }, () =>
      socket.write(`GET http://evil.test/sign-in HTTP/1.1\r\nHost: localhost:${listener.port}\r\nConnection: close\r\n\r\n`),
    )
    let text = ''
    socket.on('data', (chunk) => (text += chunk.toString())).on('close', () => resolve(text))
  })
  expect(said).toMatch(/^HTTP\/1\.1 4/)
})
