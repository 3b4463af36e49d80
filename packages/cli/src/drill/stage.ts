import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import pg from 'pg'
import { z } from 'zod'
import type { AccessRequest } from '@sallyport/core'
import { connectControl, type ControlClient } from '../control-client.ts'
import { issuedShape, paths } from '../control-api.ts'
import { makeDatabases, writeCredentials } from '../playground/databases.ts'
import { choosePort } from '../playground/port.ts'
import { startPlaygroundServers, type PlaygroundServer, type PlaygroundServers } from '../playground/server.ts'
import { startChild, type Child } from '../process-child.ts'
import { makePrivateFolder, writePrivateFile, writeRun } from '../state-directory.ts'
import { findAgentClient, type AgentAddress, type AgentClient, type Ran } from './agent-client.ts'
import { VirtualPerson } from './person.ts'
import { accessRequestShape } from './request-shape.ts'

/** A gate of the drill's own, with everything around it: database, relay, vault, people. Nothing of a live gate is touched. */
export interface Stage {
  readonly directory: string
  readonly client: AgentClient
  readonly control: ControlClient
  readonly server: PlaygroundServer
  readonly ada: VirtualPerson
  readonly bob: VirtualPerson
  /** Runs SQL as an agent, through the gate, with a handle issued for it now. */
  runAs(agent: 'stray' | 'coder', database: 'production' | 'staging', sql: string): Promise<Ran>
  addressOf(agent: 'stray' | 'coder', database: 'production' | 'staging'): Promise<AgentAddress>
  /** Runs SQL as the server's superuser, around gate and relay: evidence. */
  askServer(sql: string, database?: 'production' | 'staging'): Promise<readonly (readonly string[])[]>
  /** What the relay between gate and server counted. */
  relayCounts(): Promise<{ readonly toServerBytes: number; readonly lastToServerAtMs: number }>
  request(id: string): Promise<AccessRequest>
  /** The newest request that waits for people. */
  waiting(): Promise<AccessRequest | null>
  logSize(): Promise<number>
  /** Stops the gate, and only it; log and vault stay readable. */
  stopGate(): Promise<void>
  stop(): Promise<void>
}

const gatewayProgram = fileURLToPath(new URL('../../../gateway/src/main.ts', import.meta.url))
const vaultProgram = fileURLToPath(new URL('../../../vault/src/main.ts', import.meta.url))
const relayProgram = fileURLToPath(new URL('./relay.ts', import.meta.url))
const relayReady = z.object({ port: z.number(), countPort: z.number() })
const gateReady = z.object({ controlUrl: z.url(), postgresAddress: z.string(), enrolmentUrl: z.string() })
const countsShape = z.object({ toServerBytes: z.number(), lastToServerAtMs: z.number() })
const listShape = z.object({ requests: z.array(z.object({ id: z.string(), state: z.string(), createdAtMs: z.number() })) })
const dayMs = 86_400_000

export async function openStage(directory: string, nowMs: () => number): Promise<Stage> {
  makePrivateFolder(directory)
  const started: Child[] = []
  const stop = async (): Promise<void> => {
    for (const child of started.toReversed()) await child.stop()
  }
  try {
    const servers = await startPlaygroundServers(directory)
    started.push(servers.production.child, servers.staging.child)
    await makeDatabases(servers, directory, new Date(Math.floor(nowMs() / dayMs) * dayMs))
    const relays = {
      production: await startRelay(directory, servers.production),
      staging: await startRelay(directory, servers.staging),
    }
    started.push(relays.production.child, relays.staging.child)
    // The gate reaches its upstreams by the relays only.
    writeCredentials(relays, directory)
    const vault = await startVault(directory)
    started.push(vault)
    const gate = await startGate(directory)
    started.push(gate)
    const ready = gateReady.parse(gate.ready)
    writeRun(directory, {
      ...ready,
      cliPid: process.pid,
      gatewayPid: gate.pid,
      vaultPid: vault.pid,
      configuration: join(directory, 'sallyport.yaml'),
      startedAtMs: nowMs(),
    })
    const control = await connectControl(directory)
    const ada = new VirtualPerson('ada', ready.controlUrl)
    await ada.enrol(ready.enrolmentUrl)
    const bob = new VirtualPerson('bob', ready.controlUrl)
    await bob.enrol(await ada.invite())
    return assemble({
      directory,
      servers,
      control,
      ada,
      bob,
      gate,
      ready,
      countPorts: [relays.production.countPort, relays.staging.countPort],
      stop,
    })
  } catch (error) {
    await stop()
    throw error
  }
}

interface Parts {
  readonly directory: string
  readonly servers: PlaygroundServers
  readonly control: ControlClient
  readonly ada: VirtualPerson
  readonly bob: VirtualPerson
  readonly gate: Child
  readonly ready: z.infer<typeof gateReady>
  readonly countPorts: readonly number[]
  readonly stop: () => Promise<void>
}

function assemble({ directory, servers, control, ada, bob, gate, ready, countPorts, stop }: Parts): Stage {
  const client = findAgentClient()
  const at = ready.postgresAddress.lastIndexOf(':')
  const place = { host: ready.postgresAddress.slice(0, at), port: Number(ready.postgresAddress.slice(at + 1)) }
  const addressOf: Stage['addressOf'] = async (agent, database) => {
    const issued = await control.post(paths.handles, { agent, ttlMs: 600_000 }, issuedShape)
    return { ...place, agent, handle: issued.handle, database }
  }
  const request: Stage['request'] = (id) => control.get(`/api/v1/requests/${id}`, accessRequestShape)
  return {
    directory,
    client,
    control,
    server: servers.production,
    ada,
    bob,
    addressOf,
    request,
    stop,
    runAs: async (agent, database, sql) => client.run(await addressOf(agent, database), sql),
    askServer: (sql, database = 'production') => askServer(servers[database], sql, database),
    relayCounts: () => sumCounts(countPorts),
    waiting: async () => {
      const { requests } = await control.get('/api/v1/requests', listShape)
      const [newest] = requests
        .filter(({ state }) => state === 'pending')
        .toSorted((left, right) => right.createdAtMs - left.createdAtMs)
      return newest === undefined ? null : request(newest.id)
    },
    logSize: async () => (await control.get('/api/v1/status', z.object({ logSize: z.number() }))).logSize,
    stopGate: () => gate.stop(),
  }
}

interface Relay {
  readonly child: Child
  readonly port: number
  readonly countPort: number
}

async function startRelay(directory: string, { name, port }: PlaygroundServer): Promise<Relay> {
  const child = await startNode(directory, `relay-${name}`, [relayProgram, String(port)])
  return { child, ...relayReady.parse(child.ready) }
}

/** What all relays let through together. */
async function sumCounts(countPorts: readonly number[]): Promise<z.infer<typeof countsShape>> {
  const counts = await Promise.all(
    countPorts.map(async (port) => countsShape.parse(await (await fetch(`http://127.0.0.1:${port}/`)).json())),
  )
  return {
    toServerBytes: counts.reduce((sum, { toServerBytes }) => sum + toServerBytes, 0),
    lastToServerAtMs: Math.max(...counts.map(({ lastToServerAtMs }) => lastToServerAtMs)),
  }
}

async function askServer(server: PlaygroundServer, sql: string, database: string): Promise<readonly (readonly string[])[]> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port: server.port,
    user: 'postgres',
    password: server.superuserPassword,
    database,
  })
  await client.connect()
  try {
    const result = await client.query({ text: sql, rowMode: 'array' })
    return result.rows.map((row: unknown[]) => row.map(String))
  } finally {
    await client.end()
  }
}

function startNode(directory: string, name: string, args: readonly string[]): Promise<Child> {
  return startChild({
    name,
    command: process.execPath,
    args,
    env: { PATH: process.env['PATH'] ?? '' },
    logFile: join(directory, 'logs', `${name}.log`),
    readyTimeoutMs: 20_000,
    stopTimeoutMs: 8_000,
  })
}

function startVault(directory: string): Promise<Child> {
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

function socketPath(directory: string): string {
  return join(directory, 'run', 'vault.sock')
}

async function startGate(directory: string): Promise<Child> {
  const postgresPort = await choosePort(0)
  const controlPort = await choosePort(0, ['127.0.0.1', '::1'])
  writePrivateFile(join(directory, 'sallyport.yaml'), describeDrill(postgresPort, controlPort))
  const flags = [
    '--config',
    join(directory, 'sallyport.yaml'),
    '--state',
    directory,
    '--vault-socket',
    socketPath(directory),
    '--vault-token-file',
    join(directory, 'vault.token'),
  ]
  return startNode(directory, 'gate', [gatewayProgram, ...flags, '--drill', '--exit-with-parent'])
}

/** `stray` is bound to staging; `coder` may do anything, and only guards stand before it. Team mode: the owner never alone. */
function describeDrill(postgresPort: number, controlPort: number): string {
  return `version: 1
mode: team
listen:
  postgres: 127.0.0.1:${postgresPort}
  control: localhost:${controlPort}
upstreams:
  production:
    protocol: postgres
    environment: production
    use: file:secrets/production.use
    protect: file:secrets/production.protect
  staging:
    protocol: postgres
    environment: staging
    use: file:secrets/staging.use
    protect: file:secrets/staging.protect
agents:
  stray:
    owner: ada
    may: [any staging]
  coder:
    owner: ada
    may: [any staging, any production]
limits:
  rowsWithoutPrompt: 50
wait: 300ms
expiry: 12s
retention: 1d
`
}
