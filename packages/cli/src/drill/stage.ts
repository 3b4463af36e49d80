import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { z } from 'zod'
import { connectControl, type ControlClient } from '../control-client.ts'
import { issuedShape, paths } from '../control-api.ts'
import { startCloud, type PlaygroundCloud } from '../playground/cloud/cloud.ts'
import { makeDatabases, writeCredentials } from '../playground/databases.ts'
import { choosePort } from '../playground/port.ts'
import {
  putBackData,
  startPlaygroundServer,
  startPlaygroundServers,
  type DatabaseName,
  type PlaygroundServers,
} from '../playground/server.ts'
import type { Child } from '../process-child.ts'
import { agentAuthorityFile, makePrivateFolder, writePrivateFile, writeRun } from '../state-directory.ts'
import { findAgentClient, type AgentAddress, type AgentClient, type Ran } from './agent-client.ts'
import { DrillAuthenticator } from './authenticator.ts'
import { describeDrill, type DrillPorts } from './configuration.ts'
import { findHttpAgent, type HttpAgent, type ProxyAddress } from './http-agent.ts'
import { VirtualPerson } from './person.ts'
import {
  agentTraffic,
  compiledFolder,
  configurationFile,
  startGate,
  startRelay,
  startVault,
  sumCounts,
  type Relay,
  type RelayCounts,
} from './processes.ts'

type AgentName = 'stray' | 'coder'

const requestShape = z.object({
  id: z.string(),
  state: z.string(),
  notBeforeMs: z.number().nullable(),
  approvals: z.array(z.object({ person: z.string() })),
  question: z.object({
    approvalsNeeded: z.number(),
    delayMs: z.number(),
    operations: z.array(
      z.object({ action: z.string(), why: z.string(), rows: z.number().nullable(), dependants: z.array(z.string()) }),
    ),
  }),
})
/** An access request, as far as a drill looks at it. */
type ShownRequest = z.infer<typeof requestShape>

const eventShape = z.object({ index: z.number(), type: z.string(), atMs: z.number(), data: z.record(z.string(), z.unknown()) })
type LoggedEvent = z.infer<typeof eventShape>

/** A fact of an event that is text; empty when there is none. */
export function textIn({ data }: LoggedEvent, name: string): string {
  const value = data[name]
  return typeof value === 'string' ? value : ''
}

const gateReady = z.object({ controlUrl: z.url(), postgresAddress: z.string(), enrolmentUrl: z.string().nullable() })
const listShape = z.object({ requests: z.array(z.object({ id: z.string(), state: z.string(), createdAtMs: z.number() })) })
const dayMs = 86_400_000

/** A gate of the drill's own, with everything around it: databases, relays, a cloud, a vault, people. Nothing of a live gate is touched. */
export class Stage {
  readonly directory: string
  readonly client: AgentClient = findAgentClient()
  readonly httpAgent: HttpAgent = findHttpAgent()
  readonly cloud: PlaygroundCloud
  readonly control: ControlClient
  readonly ada: VirtualPerson
  readonly bob: VirtualPerson
  readonly #ports: DrillPorts
  readonly #relays: readonly Relay[]
  readonly #started: Child[]
  #servers: PlaygroundServers
  #gate: Child

  constructor(parts: StageParts, people: { readonly ada: VirtualPerson; readonly bob: VirtualPerson }, control: ControlClient) {
    this.directory = parts.directory
    this.cloud = parts.cloud
    this.ada = people.ada
    this.bob = people.bob
    this.control = control
    this.#ports = parts.ports
    this.#relays = parts.relays
    this.#started = parts.started
    this.#servers = parts.servers
    this.#gate = parts.gate
  }

  /** Where production lies; its data directory is `data` in it. */
  get volumeFolder(): string {
    return this.#servers.production.folder
  }

  async addressOf(agent: AgentName, database: DatabaseName): Promise<AgentAddress> {
    return { host: '127.0.0.1', port: this.#ports.postgres, agent, handle: await this.#issue(agent), database }
  }

  /** Runs SQL as an agent, through the gate, with a handle issued for it now. */
  async runAs(agent: AgentName, database: DatabaseName, sql: string): Promise<Ran> {
    return this.client.run(await this.addressOf(agent, database), sql)
  }

  /** The way to the cloud's API for an agent: a proxy, and a handle issued now. */
  async proxyOf(agent: AgentName): Promise<ProxyAddress> {
    const authorityFile = agentAuthorityFile(this.directory)
    return { host: '127.0.0.1', port: this.#ports.http, agent, handle: await this.#issue(agent), authorityFile }
  }

  async #issue(agent: AgentName): Promise<string> {
    return (await this.control.post(paths.handles, { agent, ttlMs: 600_000 }, issuedShape)).handle
  }

  /** Runs SQL as the server's superuser, around gate and relay: evidence. */
  async askServer(sql: string, database: DatabaseName = 'production'): Promise<readonly (readonly string[])[]> {
    const { port, superuserPassword: password } = this.#servers[database]
    const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database })
    client.on('error', () => undefined)
    await client.connect()
    try {
      const result = await client.query({ text: sql, rowMode: 'array' })
      return result.rows.map((row: unknown[]) => row.map(String))
    } finally {
      await client.end()
    }
  }

  /** What the relays between gate and servers counted. */
  relayCounts(): Promise<RelayCounts> {
    return sumCounts(this.#relays)
  }

  /** What agents' work sent to staging, and when the last of it came. */
  async stagingTraffic(): ReturnType<typeof agentTraffic> {
    const relay = this.#relays.at(-1)
    if (relay === undefined) throw new Error('a stage has relays')
    return agentTraffic(relay)
  }

  request(id: string): Promise<ShownRequest> {
    return this.control.get(`/api/v1/requests/${id}`, requestShape)
  }

  /** The newest request that waits for people. */
  async waiting(): Promise<ShownRequest | null> {
    const { requests } = await this.control.get('/api/v1/requests', listShape)
    const [newest] = requests
      .filter(({ state }) => state === 'pending')
      .toSorted((left, right) => right.createdAtMs - left.createdAtMs)
    return newest === undefined ? null : this.request(newest.id)
  }

  async logSize(): Promise<number> {
    return (await this.control.get('/api/v1/status', z.object({ logSize: z.number() }))).logSize
  }

  /** Events from this place on the log on: at most the newest hundred. */
  async eventsFrom(index: number): Promise<readonly LoggedEvent[]> {
    const events: LoggedEvent[] = []
    for await (const event of this.control.stream(`/api/v1/events?after=${Math.max(0, index - 1)}`, eventShape))
      events.push(event)
    return events.filter((event) => event.index >= index)
  }

  /** What a person does with a restored data directory: puts it where production was, and starts a server on it. */
  async putBackProduction(data: string): Promise<void> {
    putBackData(this.directory, 'production', data)
    rmSync(dirname(dirname(data)), { recursive: true, force: true })
    const production = await startPlaygroundServer(this.directory, 'production')
    this.#started.push(production.child)
    if (production.port !== this.#servers.production.port) throw new Error('the port of production was taken meanwhile')
    this.#servers = { ...this.#servers, production }
  }

  /** Starts the gate again on the same state, in team mode: narrower, so nobody has to accept it. */
  async becomeTeam(): Promise<void> {
    await this.#gate.stop()
    writePrivateFile(configurationFile(this.directory), describeDrill('team', this.#ports, this.cloud))
    this.#gate = await startGate(this.directory)
    this.#started.push(this.#gate)
    // Browsers were signed in to the process that ended.
    for (const person of [this.ada, this.bob]) await person.signIn()
  }

  /** Stops the gate, and only it; log and vault stay readable. */
  stopGate(): Promise<void> {
    return this.#gate.stop()
  }

  async stop(): Promise<void> {
    await stopAll(this.#started)
    rmSync(compiledFolder(this.directory), { recursive: true, force: true })
  }
}

interface StageParts {
  readonly directory: string
  readonly ports: DrillPorts
  readonly servers: PlaygroundServers
  readonly cloud: PlaygroundCloud
  readonly relays: readonly Relay[]
  readonly gate: Child
  readonly started: Child[]
}

export async function openStage(directory: string, nowMs: () => number): Promise<Stage> {
  makePrivateFolder(directory)
  const started: Child[] = []
  const keep = async <Started extends { readonly child: Child }>(starting: Promise<Started>): Promise<Started> => {
    const one = await starting
    started.push(one.child)
    return one
  }
  const startServers = async (): Promise<PlaygroundServers> => {
    const servers = await startPlaygroundServers(directory)
    started.push(servers.production.child, servers.staging.child)
    return servers
  }
  try {
    const [servers, vault] = await both(startServers(), keep(asStarted(startVault(directory))))
    const [production, staging] = await both(
      keep(startRelay(directory, servers.production)),
      keep(startRelay(directory, servers.staging)),
    )
    const [cloud] = await both(
      keep(startCloud(directory, servers, nowMs())),
      makeDatabases(servers, directory, new Date(Math.floor(nowMs() / dayMs) * dayMs)),
    )
    // The gate reaches its upstreams by the relays only.
    writeCredentials({ production, staging }, directory)
    const ports: DrillPorts = {
      postgres: await choosePort(null),
      http: await choosePort(null),
      control: await choosePort(null, ['127.0.0.1', '::1']),
    }
    writePrivateFile(configurationFile(directory), describeDrill('solo', ports, cloud))
    const { child: gate } = await keep(asStarted(startGate(directory)))
    const parts = { directory, ports, servers, cloud, relays: [production, staging], gate, started }
    return await enrolPeople(parts, vault.child.pid, nowMs())
  } catch (error) {
    await stopAll(started)
    throw error
  }
}

async function asStarted(child: Promise<Child>): Promise<{ readonly child: Child }> {
  return { child: await child }
}

/** Both are waited for, so that what one started can be stopped when the other fails. */
async function both<Left, Right>(left: Promise<Left>, right: Promise<Right>): Promise<[Left, Right]> {
  const [first, second] = await Promise.allSettled([left, right])
  if (first.status === 'rejected') throw first.reason
  if (second.status === 'rejected') throw second.reason
  return [first.value, second.value]
}

async function enrolPeople(parts: StageParts, vaultPid: number, startedAtMs: number): Promise<Stage> {
  const { directory, gate } = parts
  const { controlUrl, postgresAddress, enrolmentUrl } = gateReady.parse(gate.ready)
  writeRun(directory, {
    controlUrl,
    postgresAddress,
    cliPid: process.pid,
    gatewayPid: gate.pid,
    vaultPid,
    configuration: join(directory, 'sallyport.yaml'),
    startedAtMs,
  })
  const ada = makePerson('ada', controlUrl)
  await ada.enrol(enrolmentUrl ?? '')
  const bob = makePerson('bob', controlUrl)
  await bob.enrol(await ada.invite())
  return new Stage(parts, { ada, bob }, await connectControl(directory))
}

function makePerson(name: string, origin: string): VirtualPerson {
  return new VirtualPerson(name, origin, new DrillAuthenticator(origin, 'localhost'))
}

/** Last started, first stopped: nothing may write to what is gone. */
async function stopAll(started: readonly Child[]): Promise<void> {
  for (const child of started.toReversed()) await child.stop()
}
