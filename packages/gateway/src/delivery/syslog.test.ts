import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createPlain, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTls } from 'node:tls'
import { eventTypes, type Event, type EventType } from '@sallyport/core'
import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { openAuthority } from '../../../../tests/fakes/authority.ts'
import { unusedContext } from '../../../../tests/fakes/receiver-context.ts'
import { openReceivers } from './open.ts'
import type { LoggedEvent } from './receiver.ts'
import { formatMessage, openSyslog } from './syslog.ts'

const wants: ReadonlySet<EventType> = new Set(eventTypes)
const never = new AbortController().signal
const origin = 'sallyport/0123456789abcdef'

function logged(index: number, type: EventType, data: Event['data'] = {}): LoggedEvent {
  return { index, event: { type, atMs: 1_800_000_000_123, agent: 'coder', session: 's1', data } }
}

let server: Server | null = null
const sockets = new Set<Socket>()
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  await new Promise<void>((resolve) => (server === null ? resolve() : server.close(() => resolve())))
  server = null
})

/** A receiver that reads to the end, as they do; what it read. */
async function listen(made: Server, closes = true): Promise<{ readonly port: number; readonly bytes: () => Buffer }> {
  server = made
  const chunks: Buffer[] = []
  // Those whose handshake fails too.
  made.on('connection', (socket: Socket) => void sockets.add(socket))
  const take = (socket: Socket): void => {
    socket.on('error', () => undefined)
    if (!closes) return
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('end', () => socket.end())
  }
  made.on('setSecureContext' in made ? 'secureConnection' : 'connection', take)
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve))
  const address = made.address()
  return {
    port: z.custom<AddressInfo>((value) => typeof value === 'object').parse(address).port,
    bytes: () => Buffer.concat(chunks),
  }
}

/** RFC 6587 §3.4.1. */
function readFrames(bytes: Buffer): readonly string[] {
  const messages: string[] = []
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at)
    const length = Number(bytes.toString('latin1', at, space))
    messages.push(bytes.toString('utf8', space + 1, space + 1 + length))
    at = space + 1 + length
  }
  return messages
}

const evil = 'DROP TABLE x = |1| \\ "q"]\r\n<13>1 - forged \u202Etxet'

describe('a message', () => {
  it('is RFC 5424 with CEF in it, and nothing an agent writes makes a field or a line of its own', () => {
    const message = formatMessage(logged(7, 'intent', { text: evil }), origin)
    expect(message).toMatch(
      /^<110>1 2027-01-15T08:00:00\.123Z sallyport\/0123456789abcdef sallyport - intent \[sallyport@32473 index="7" session="s1" agent="coder"\] \ufeffCEF:0\|Sallyport\|Sallyport\|1\|intent\|intent\|3\|rt=1800000000123 externalId=7 suser=coder cs1Label=session cs1=s1 msg=\{/,
    )
    expect(message).not.toMatch(/[\r\n\u202e]/)
    const [, extension = ''] = /\|3\|(.*)$/.exec(message) ?? []
    // Unescaped equals signs stand behind our own keys alone.
    expect([...extension.matchAll(/(?<!\\)=/g)]).toHaveLength(6)
  })

  it('has the severity of what happened, and its agent’s name is escaped', () => {
    expect(formatMessage(logged(1, 'alarm'), origin)).toMatch(/^<107>.*\|9\|/)
    expect(formatMessage(logged(1, 'decision', { outcome: 'deny' }), origin)).toMatch(/^<108>.*\|6\|/)
    const named = { index: 1, event: { type: 'intent', atMs: 1, agent: 'a"]\\b', data: {} } } as const
    expect(formatMessage(named, 'not ascii é')).toMatch(
      / not_ascii__ sallyport - intent \[sallyport@32473 index="1" agent="a\\"\\\]\\\\b"\]/,
    )
  })

  it('is cut where it is long, with the digest of the whole', () => {
    const event = logged(1, 'intent', { text: 'é'.repeat(20_000) })
    const message = formatMessage(event, origin)
    expect(Buffer.byteLength(message)).toBeLessThan(8_192)
    expect(message).toMatch(/cs2=[0-9a-f]{64} msg=/)
    expect(message).not.toContain('\ufffd')
  })
})

describe('a receiver', () => {
  it('gets every event of a batch, counted by octets', async () => {
    const { port, bytes } = await listen(createPlain({ allowHalfOpen: true }))
    const receiver = openSyslog({ name: 's', wants, url: `tcp://127.0.0.1:${port}`, authorities: null, origin })
    await receiver.deliver([logged(7, 'intent', { text: evil }), logged(8, 'kill')], never)
    const messages = readFrames(bytes())
    expect(messages.map((message) => /index="(\d+)"/.exec(message)?.[1])).toEqual(['7', '8'])
  })

  it('by TLS, whose authority must be one that is trusted', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sp-syslog-'))
    const authority = await openAuthority(folder, { nowMs: () => Date.now() })
    rmSync(folder, { recursive: true })
    const { certificate, key } = await authority.issue('localhost')
    const { port, bytes } = await listen(createTls({ cert: certificate, key, allowHalfOpen: true }))
    const settings = { name: 's', wants, url: `tls://localhost:${port}`, origin }
    await openSyslog({ ...settings, authorities: authority.certificate }).deliver([logged(1, 'kill')], never)
    expect(readFrames(bytes())).toHaveLength(1)
    await expect(openSyslog({ ...settings, authorities: null }).deliver([logged(2, 'kill')], never)).rejects.toThrow(
      /could not be reached/,
    )
    expect(readFrames(bytes())).toHaveLength(1)
  })

  it('that is gone, or never closes, or resets, was not told', async () => {
    const { port } = await listen(createPlain(), false)
    const open = (url: string): ReturnType<typeof openSyslog> => openSyslog({ name: 's', wants, url, authorities: null, origin })
    const stop = new AbortController()
    const told = open(`tcp://127.0.0.1:${port}`).deliver([logged(1, 'kill')], stop.signal)
    await expect.poll(() => sockets.size).toBeGreaterThan(0)
    stop.abort()
    await expect(told).rejects.toThrow(/could not be reached/)
    const resets = open(`tcp://127.0.0.1:${port}`).deliver([logged(1, 'kill')], never)
    await expect.poll(() => sockets.size).toBe(2)
    for (const socket of sockets) socket.resetAndDestroy()
    await expect(resets).rejects.toThrow(/could not be reached/)
    await expect(open('tcp://127.0.0.1:1').deliver([logged(1, 'kill')], never)).rejects.toThrow(/could not be reached/)
  })

  it('in the clear is only on this machine, and an address is one', () => {
    const any = { name: 's', kind: 'syslog', events: null, authorities: null } as const
    for (const url of ['tcp://siem.example.com:601', 'udp://127.0.0.1:514', 'tls://', 'nonsense'])
      expect(() => openReceivers([{ ...any, url }], unusedContext), url).toThrow(/syslog s/)
    expect(openReceivers([{ ...any, url: 'tls://siem.example.com' }], unusedContext)[0]?.batchMax).toBe(200)
  })
})
