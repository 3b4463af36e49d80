import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { openAuthority } from '../../packages/gateway/src/authority/index.ts'
import type { Leaf } from '../../packages/gateway/src/protocols/http/settings.ts'
import { openTunnel, readAnswer, type RawAnswer } from '../fakes/http-gate.ts'
import type { TestGateSettings } from './gate-settings.ts'
import { startGate, type TestGate } from './gate.ts'

/** A stand-in for the provider, whoever plays it. */
export interface CloudStandIn {
  listen(): Promise<number>
  stop(): Promise<void>
}

/** A real gate before a stand-in of a cloud API that it takes for Railway's. */
export interface CloudGate<StandIn extends CloudStandIn> {
  readonly gate: TestGate
  readonly standIn: StandIn
  /** PEM of the authority that agents trust. */
  readonly authority: string
  readonly authorityFile: string
  /** curl through the proxy: its arguments, without the proxy. */
  curl(handle: string, ...args: readonly string[]): Promise<Curled>
  /** Bytes inside an intercepted tunnel. */
  raw(handle: string, bytes: string | Buffer, port?: number): Promise<RawAnswer>
  tunnelAs(agent: string, handle: string): Promise<TLSSocket>
  /** Every file of the gate's state, but for those in which the operator put the credentials. */
  files(): readonly { readonly path: string; readonly bytes: Buffer }[]
  stop(): Promise<void>
}

export interface Curled {
  /** 0: there was no answer. */
  readonly status: number
  readonly body: string
  /** Everything that curl printed. */
  readonly said: string
}

export const cloudHost = 'backboard.railway.com'
export const cloudUrl = `https://${cloudHost}/graphql/v2`
export const cloudAgent = 'coder'

export interface CloudGateSettings<StandIn> extends Omit<TestGateSettings, 'apis'> {
  readonly standIn: (leaf: Leaf) => StandIn
  readonly realToken: string
  /** Volume and the upstream that lies on it. */
  readonly tied?: Readonly<Record<string, string>>
}

export async function startCloudGate<StandIn extends CloudStandIn>(
  settings: CloudGateSettings<StandIn>,
): Promise<CloudGate<StandIn>> {
  const folder = mkdtempSync(join(tmpdir(), 'sp-cloud-gate-'))
  const world = await openAuthority(join(folder, 'world'), { nowMs: () => Date.now() })
  const standIn = settings.standIn(await world.issue(cloudHost))
  writeFileSync(join(folder, 'world.pem'), world.certificate)
  writeFileSync(join(folder, 'token'), `${settings.realToken}\n`, { mode: 0o600 })
  const cloud = {
    protocol: 'http',
    connector: 'railway',
    environment: 'production',
    hosts: [cloudHost],
    graphql: ['/graphql/v2'],
    use: `file:${join(folder, 'token')}`,
    dial: `127.0.0.1:${await standIn.listen()}`,
    authorities: join(folder, 'world.pem'),
    ...(settings.tied === undefined ? {} : { tied: { volume: settings.tied } }),
  }
  const agents = { [cloudAgent]: { owner: 'ada', may: ['any cloud', 'any orders-db'] } }
  const gate = await startGate({ agents, wait: '0ms', ...settings, apis: { cloud } })
  const authorityFile = join(gate.directory, 'authority', 'ca.pem')
  const authority = readFileSync(authorityFile, 'utf8')
  const tunnel = (agent: string, handle: string, port = gate.httpPort): Promise<TLSSocket> =>
    openTunnel(port, authority, { host: cloudHost, handle, agent })
  return {
    gate,
    standIn,
    authority,
    authorityFile,
    curl: (handle, ...args) => runCurl(`http://${cloudAgent}:${handle}@127.0.0.1:${gate.httpPort}`, authorityFile, args),
    raw: async (handle, bytes, port) => readAnswer(await tunnel(cloudAgent, handle, port), bytes),
    tunnelAs: (agent, handle) => tunnel(agent, handle),
    files: () => readState(gate.directory),
    stop: async () => {
      await gate.stop()
      await standIn.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** `-q`: whoever runs the test has a .curlrc of their own. */
export function runCurl(proxy: string, authorityFile: string, args: readonly string[]): Promise<Curled> {
  const words = ['-q', '--silent', '--show-error', '--include', '--suppress-connect-headers', '--max-time', '60', ...args]
  const env = { PATH: process.env['PATH'] ?? '', HTTPS_PROXY: proxy, http_proxy: proxy, CURL_CA_BUNDLE: authorityFile }
  return new Promise((resolve) => {
    execFile('curl', words, { env, encoding: 'latin1', maxBuffer: 16 << 20 }, (_error, out, errors) => {
      const heads = [...out.matchAll(/^HTTP\/1\.1 ([2-5]\d\d)[^]*?\r\n\r\n/gm)]
      const [head] = heads
      const body = head === undefined ? '' : out.slice(head.index + head[0].length)
      resolve({ status: Number(head?.[1] ?? 0), body, said: `${out}${errors}` })
    })
  })
}

/** The gate and the vault are at work: a file may have been renamed since it was listed. */
function readState(directory: string): readonly { readonly path: string; readonly bytes: Buffer }[] {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return files
    .filter(({ parentPath }) => parentPath !== join(directory, 'secrets'))
    .flatMap(({ parentPath, name }) => {
      const path = join(parentPath, name)
      try {
        return [{ path, bytes: readFileSync(path) }]
      } catch {
        return []
      }
    })
}
