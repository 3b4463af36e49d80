import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { openAuthority } from '../../packages/gateway/src/authority/index.ts'
import { httpProtocol, type HttpSettings } from '../../packages/gateway/src/protocols/http/index.ts'
import {
  openHttpUpstreams,
  type HttpUpstreamSettings,
  type OpenHttpUpstreams,
} from '../../packages/gateway/src/upstreams/http/index.ts'
import { FakeGate, type FakeOptions } from './govern.ts'
import { HttpStandIn } from './http-upstream.ts'

export const governedHost = 'api.cloud.test'
export const otherHost = 'dns.other.test'
export const plainHost = 'plain.cloud.test'
/** What the gate holds for the upstream; must never be in a byte that a client sees. */
export const realSecret = 'real-5f0c2e1a-77c1-4b1f-9d6e-0a9b8c7d6e5f'

/** The real protocol between a client and stand-ins, with a scripted govern. */
export interface HttpGate {
  readonly fake: FakeGate
  readonly port: number
  readonly handle: string
  /** PEM of the authority that agents trust, and where it is. */
  readonly authority: string
  readonly authorityFile: string
  readonly standIn: HttpStandIn
  readonly plain: HttpStandIn
  readonly proxyUrl: string
  readonly basic: string
  /** Bytes to the proxy's port, no TLS. */
  raw(bytes: string | Buffer): Promise<RawAnswer>
  /** Bytes inside an intercepted tunnel to the governed host. */
  inside(bytes: string | Buffer, options?: InsideOptions): Promise<RawAnswer>
  /** An open tunnel. */
  tunnel(options?: InsideOptions): Promise<TLSSocket>
  /** Before a test: nothing asked, nothing arrived, and every request is taken for a write. */
  reset(): void
  stop(): Promise<void>
}

export interface InsideOptions {
  readonly host?: string
  readonly servername?: string
  readonly handle?: string
}

/** What came back until the gate closed, or until `Connection: close` and the length said that it was all. */
export interface RawAnswer {
  readonly status: number
  readonly text: string
  readonly body: string
}

/** Short limits, for attacks that have to run into them. */
export const shortLimits: Partial<HttpSettings> = { headersTimeoutMs: 500, requestTimeoutMs: 1_000, bodyBytesMax: 64 * 1024 }

const common = {
  environment: 'production',
  connector: 'fake',
  credential: 'authorization: Bearer {secret}',
  useSecret: realSecret,
  protectSecret: realSecret,
} as const

export async function startHttpGate(
  options: FakeOptions = {},
  settings: Partial<HttpSettings> = {},
  upstream: Partial<HttpUpstreamSettings> = {},
  /** Where what is not governed leads, instead of the internet. */
  farEnd: OpenHttpUpstreams['tunnel'] | null = null,
): Promise<HttpGate> {
  const folder = mkdtempSync(join(tmpdir(), 'sp-http-gate-'))
  const authority = await openAuthority(join(folder, 'gate'), { nowMs: () => Date.now() })
  const world = await openAuthority(join(folder, 'world'), { nowMs: () => Date.now() })
  const leaf = await world.issue(governedHost)
  const standIn = new HttpStandIn(leaf)
  const plain = new HttpStandIn(null)
  const [port, plainPort] = [await standIn.listen(), await plain.listen()]
  const fake = new FakeGate({ upstreams: ['cloud', 'plain', 'internet'], ...options })
  const handle = fake.issue('robot')
  const upstreams = openHttpUpstreams(
    [
      {
        ...common,
        name: 'cloud',
        hosts: [governedHost],
        graphqlPaths: ['/graphql/v2'],
        dial: { host: '127.0.0.1', port },
        authorities: world.certificate,
        ...upstream,
      },
      { ...common, name: 'plain', hosts: [plainHost], scheme: 'http', dial: { host: '127.0.0.1', port: plainPort } },
    ],
    fake.gate.killSwitch,
  )
  const served = farEnd === null ? upstreams : { ...upstreams, tunnel: farEnd }
  const listener = await httpProtocol.listen(fake.gate, served, {
    host: '127.0.0.1',
    port: 0,
    certificates: authority,
    waitMs: 1_000,
    ...settings,
  })
  const authorityFile = join(folder, 'ca.pem')
  writeFileSync(authorityFile, authority.certificate)
  const gatePort = listener.address.port
  const tunnel = (inside: InsideOptions = {}): Promise<TLSSocket> =>
    openTunnel(gatePort, authority.certificate, { handle, ...inside })
  return {
    fake,
    port: gatePort,
    handle,
    authority: authority.certificate,
    authorityFile,
    standIn,
    plain,
    proxyUrl: `http://robot:${handle}@127.0.0.1:${gatePort}`,
    basic: basicOf(handle),
    raw: async (bytes) => readAnswer(connect({ host: '127.0.0.1', port: gatePort }), bytes),
    inside: async (bytes, inside) => readAnswer(await tunnel(inside), bytes),
    tunnel,
    reset: () => forget(fake, [standIn, plain]),
    stop: async () => {
      await listener.close()
      upstreams.close()
      await standIn.stop()
      await plain.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function forget(fake: FakeGate, standIns: readonly HttpStandIn[]): void {
  for (const standIn of standIns) standIn.reset()
  for (const seen of [fake.asked, fake.alarms, fake.outcomes]) seen.length = 0
  fake.decide = () => ({ kind: 'write' })
}

export function basicOf(handle: string, agent = 'robot'): string {
  return `Basic ${Buffer.from(`${agent}:${handle}`).toString('base64')}`
}

/** A tunnel through the gate on this port, its TLS done. */
export async function openTunnel(
  port: number,
  authority: string,
  options: InsideOptions & { readonly handle: string; readonly agent?: string },
): Promise<TLSSocket> {
  const { host = governedHost, servername = host, handle, agent } = options
  const socket = connect({ host: '127.0.0.1', port })
  socket.write(`CONNECT ${host}:443 HTTP/1.1\r\nhost: ${host}:443\r\nproxy-authorization: ${basicOf(handle, agent)}\r\n\r\n`)
  const answer = await new Promise<string>((resolve, reject) => {
    socket.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1')))
    socket.once('close', () => reject(new Error('the gate closed the connection')))
    socket.once('error', reject)
  })
  if (!answer.startsWith('HTTP/1.1 200')) {
    socket.destroy()
    throw new Error(answer)
  }
  const secured = connectTls({
    socket,
    servername,
    ca: authority,
    ALPNProtocols: ['http/1.1'],
    checkServerIdentity: () => undefined,
  })
  await new Promise<void>((resolve, reject) => {
    secured.once('secureConnect', () => resolve())
    secured.once('error', reject)
    secured.once('close', () => reject(new Error('closed in the handshake')))
  })
  return secured
}

/** Sends, and reads until the other side closes or one whole answer with a length is there. */
export async function readAnswer(socket: Socket, bytes: string | Buffer): Promise<RawAnswer> {
  const chunks: Buffer[] = []
  socket.on('error', () => undefined)
  const text = await new Promise<string>((resolve) => {
    const all = (): string => Buffer.concat(chunks).toString('latin1')
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if (isWhole(all())) resolve(all())
    })
    socket.once('close', () => resolve(all()))
    socket.write(bytes)
  })
  socket.destroy()
  const [, status = '0'] = /^HTTP\/1\.1 (\d{3})/.exec(text) ?? []
  return { status: Number(status), text, body: text.slice(text.indexOf('\r\n\r\n') + 4) }
}

function isWhole(all: string): boolean {
  const text = all.replace(/^HTTP\/1\.1 1[^]*?\r\n\r\n/, '')
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return false
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end + 2))?.[1]
  if (length !== undefined) return text.length >= end + 4 + Number(length)
  return /\r\ntransfer-encoding: chunked/i.test(text.slice(0, end + 2)) && text.endsWith('0\r\n\r\n')
}
