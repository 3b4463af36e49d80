import { createServer, type AddressInfo, type Server } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { frame, int32, readyForQuery, parameterStatus } from '../../protocols/postgres/wire.ts'
import { connectTarget } from './connect.ts'
import { readTarget } from './target.ts'

let server: Server
afterEach(() => new Promise<void>((resolve) => server.close(() => resolve())))

/** A server that says these bytes to whoever starts up. */
async function serverThatSays(...bytes: readonly Buffer[]): Promise<number> {
  server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.write(Buffer.concat(bytes)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address: AddressInfo | string | null = server.address()
  return address !== null && typeof address === 'object' ? address.port : 0
}

const connect = async (port: number, weakAuthentication: boolean): Promise<unknown> =>
  connectTarget('orders', readTarget('orders', `postgres://u:hunter2@127.0.0.1:${port}/d`), {
    settings: new Map(),
    timeoutMs: 1_000,
    signal: new AbortController().signal,
    weakAuthentication,
  }).then(
    ({ socket }) => {
      socket.destroy()
      return 'in'
    },
    (error: unknown) => String(error),
  )

const ready = [
  frame(0x52, int32(0)),
  parameterStatus('standard_conforming_strings', 'on'),
  parameterStatus('client_encoding', 'UTF8'),
  readyForQuery(0x49),
]

test('a plain password goes nowhere without TLS, even where weak ways are configured; md5 only where they are', async () => {
  expect(await connect(await serverThatSays(frame(0x52, int32(3))), true)).toContain('weak way')
  server.close()
  expect(await connect(await serverThatSays(frame(0x52, int32(5), int32(1)), ...ready), false)).toContain('weak way')
  server.close()
  expect(await connect(await serverThatSays(frame(0x52, int32(5), int32(1)), ...ready), true)).toBe('in')
})

test('a server that reads strings otherwise, speaks garbage, claims 2 GB, or says nothing is not used', async () => {
  const odd = [
    frame(0x52, int32(0)),
    parameterStatus('standard_conforming_strings', 'off'),
    parameterStatus('client_encoding', 'UTF8'),
    readyForQuery(0x49),
  ]
  for (const [bytes, why] of [
    [[Buffer.from('HTTP/1.1 400 Bad Request\r\n')], 'does not speak'],
    [[Buffer.from([0x52, 0x7f, 0xff, 0xff, 0xff])], 'does not speak'],
    [[], 'closed the connection'],
    [[frame(0x52, int32(10), Buffer.from('PLAIN\0\0'))], 'does not offer SCRAM'],
  ] as const) {
    expect(await connect(await serverThatSays(...bytes), false)).toContain(why)
    server.close()
  }
  expect(await connect(await serverThatSays(...odd), true)).toContain('standard_conforming_strings')
})

test('a server that accepts without asking is not used unless that is configured', async () => {
  expect(await connect(await serverThatSays(...ready), false)).toContain('weak way')
  server.close()
  expect(await connect(await serverThatSays(...ready), true)).toBe('in')
})
