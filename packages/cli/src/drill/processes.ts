import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { z } from 'zod'
import { compiledCode } from '../compiled-code.ts'
import type { PlaygroundServer } from '../playground/server.ts'
import { startChild, type Child } from '../process-child.ts'

/** The processes of a drill: as `up` starts them, but for the relays between gate and servers. */

const gatewayProgram = fileURLToPath(new URL('../../../gateway/bin/gateway.js', import.meta.url))
const vaultProgram = fileURLToPath(new URL('../../../vault/src/main.ts', import.meta.url))
const relayProgram = fileURLToPath(new URL('./relay.ts', import.meta.url))
const relayReady = z.object({ port: z.number(), countPort: z.number() })
const countsShape = z.object({
  toServerBytes: z.number(),
  toServerByRole: z.record(z.string(), z.number()),
  lastNsByRole: z.record(z.string(), z.string()),
})

export interface RelayCounts {
  readonly toServerBytes: number
  /** Of them what connections began that agents' work runs on; the rest is the gate's own, and cancel messages. */
  readonly ofAgentsBytes: number
}

export interface Relay {
  readonly child: Child
  readonly port: number
  readonly countPort: number
}

export async function startRelay(directory: string, { name, port }: PlaygroundServer): Promise<Relay> {
  const child = await startNode(directory, `relay-${name}`, [relayProgram, String(port)])
  return { child, ...relayReady.parse(child.ready) }
}

async function countsOf({ countPort }: Relay): Promise<z.infer<typeof countsShape>> {
  return countsShape.parse(await (await fetch(`http://127.0.0.1:${countPort}/`)).json())
}

/** What one relay let through that agents' work runs on, and when the last of it came (monotonic nanoseconds). */
export async function agentTraffic(relay: Relay): Promise<{ readonly bytes: number; readonly lastNs: bigint }> {
  const { toServerByRole, lastNsByRole } = await countsOf(relay)
  return { bytes: toServerByRole['app_use'] ?? 0, lastNs: BigInt(lastNsByRole['app_use'] ?? 0) }
}

/** What all relays let through together. */
export async function sumCounts(relays: readonly Relay[]): Promise<RelayCounts> {
  const counts = await Promise.all(relays.map(countsOf))
  return {
    toServerBytes: counts.reduce((sum, { toServerBytes }) => sum + toServerBytes, 0),
    ofAgentsBytes: counts.reduce((sum, { toServerByRole }) => sum + (toServerByRole['app_use'] ?? 0), 0),
  }
}

export function startVault(directory: string): Promise<Child> {
  mkdirSync(join(directory, 'run'), { recursive: true, mode: 0o700 })
  const flags = [
    '--dir',
    join(directory, 'vault'),
    '--socket',
    socketPath(directory),
    '--token-file',
    join(directory, 'vault.token'),
    '--while-stdin-open',
  ]
  return startNode(directory, 'vault', [vaultProgram, 'serve', ...flags])
}

export function configurationFile(directory: string): string {
  return join(directory, 'sallyport.yaml')
}

/** A gate that enrols virtual persons, and nobody else. */
export function startGate(directory: string): Promise<Child> {
  const flags = [
    '--config',
    configurationFile(directory),
    '--state',
    directory,
    '--vault-socket',
    socketPath(directory),
    '--vault-token-file',
    join(directory, 'vault.token'),
  ]
  return startNode(directory, 'gate', [gatewayProgram, ...flags, '--drill', '--exit-with-parent'])
}

/** What compiled code is kept in for as long as the drill runs, where there is no other place: it starts the same programs again and again. */
export function compiledFolder(directory: string): string {
  return join(directory, 'compiled')
}

/** The environment of a drill's own processes. */
export function drillEnvironment(directory: string): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'] ?? '', NODE_COMPILE_CACHE: compiledFolder(directory), ...compiledCode() }
}

function socketPath(directory: string): string {
  return join(directory, 'run', 'vault.sock')
}

function startNode(directory: string, name: string, args: readonly string[]): Promise<Child> {
  return startChild({
    name,
    command: process.execPath,
    args,
    env: drillEnvironment(directory),
    logFile: join(directory, 'logs', `${name}.log`),
    readyTimeoutMs: 20_000,
    stopTimeoutMs: 8_000,
  })
}
