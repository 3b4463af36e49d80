import { mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { z } from 'zod'
import type { Event } from '@sallyport/core'
import { startChild, type Child } from '../../packages/cli/src/process-child.ts'
import { childEnvironment } from '../fakes/child-environment.ts'
import { findProgram } from '../fakes/programs.ts'
import { confirmInvitation, makeHttpPerson, type HttpPerson } from '../fakes/http-person.ts'
import type { TestGateSettings } from './gate-settings.ts'
import { LogOnDisk } from './log-on-disk.ts'
import type { PostgresServer } from './postgres.ts'

/** A real vault and a real gate as processes of their own, on a state made for one test and thrown away after it. */
export interface TestGate {
  /** The gate's state: `log/`, `vault/`, `store.db`, `logs/gate.log`. */
  readonly directory: string
  readonly configuration: string
  readonly host: '127.0.0.1'
  /** Where agents connect, and where people and the operator do; the same over restarts. */
  readonly port: number
  /** Where agents' HTTP goes; 0 where the gate has no HTTP upstream. */
  readonly httpPort: number
  readonly controlUrl: string
  /** The first person's one-time link; null once somebody is enrolled. */
  readonly enrolmentUrl: string | null
  /** The gate's process as it is now: another one after `start`. */
  readonly process: Child
  readonly vault: Child
  /** A handle for an agent, by the operator's API. */
  issue(agent: string): Promise<string>
  /** An agent's connection; a new handle for each unless one is given. `database` is the upstream's name. */
  connect(agent: string, options?: { readonly handle?: string; readonly database?: string }): Promise<AgentConnection>
  /** Enrols over real HTTP with a software passkey: the first by the one-time link of the start, others invited by the first. */
  person(name: string): Promise<HttpPerson>
  /** The operator's API, with the operator's token. Throws, with what was answered, unless it answers 200. */
  get<Shape>(path: string, shape: z.ZodType<Shape>): Promise<Shape>
  post<Shape>(path: string, body: unknown, shape: z.ZodType<Shape>): Promise<Shape>
  /** Waits until a request of this agent waits for people; its id. */
  pendingRequest(agent: string): Promise<string>
  /** Every event that is on the log's disk now, in order; needs no running gate. */
  events(): readonly Event[]
  /** SIGKILL to the gate, and waits until it is gone. The vault lives on. */
  crash(): Promise<void>
  /** Starts a gate on the same state, ports and vault, after `crash` or `halt`. */
  start(program?: string): Promise<void>
  /** SIGTERM to the gate alone, and waits. */
  halt(): Promise<void>
  stop(): Promise<void>
}

export interface AgentConnection {
  readonly client: pg.Client
  /** Messages of the notices that came, oldest first. */
  readonly notices: readonly string[]
  /** Rows, or the refusal: SQLSTATE, message and the rest as pg gives it. Never throws. */
  run(sql: string, values?: readonly unknown[]): Promise<Ran>
  close(): Promise<void>
}

export interface Ran {
  /** `00000` when it ran; `08006` when the connection went away. */
  readonly sqlState: string
  readonly message: string
  readonly hint: string
  readonly rows: readonly Record<string, unknown>[]
  readonly rowCount: number
}

export const gatewayMain = findProgram('gateway')
const vaultMain = findProgram('vault')
const readyShape = z.object({
  controlUrl: z.url(),
  postgresAddress: z.string(),
  httpAddress: z.string().nullable(),
  enrolmentUrl: z.string().nullable(),
})
const requestsShape = z.object({ requests: z.array(z.object({ id: z.string(), agent: z.string(), state: z.string() })) })
const readyTimeoutMs = 120_000
const stopTimeoutMs = 60_000
/** Of app_use and app_protect. */
export const rolePassword = 'test-role'

/** The roles of a real set-up, once a server: agents' statements run as `app_use`, copies are made as `app_protect`. Neither is a superuser. */
export async function makeRoles(postgres: PostgresServer, database = 'postgres'): Promise<void> {
  const made = await postgres.query("SELECT 1 FROM pg_roles WHERE rolname = 'app_use'")
  if (made.length === 0) {
    await postgres.query(`CREATE ROLE app_use LOGIN PASSWORD '${rolePassword}'`)
    await postgres.query(`CREATE ROLE app_protect LOGIN REPLICATION PASSWORD '${rolePassword}'`)
    await postgres.query('GRANT app_use, pg_read_all_data, pg_signal_backend TO app_protect')
    await postgres.query('GRANT SET ON PARAMETER session_replication_role TO app_protect')
    await postgres.query('GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO app_protect')
  }
  await postgres.query(`GRANT CONNECT, TEMPORARY, CREATE ON DATABASE ${database} TO app_use, app_protect`)
  await postgres.query('GRANT USAGE, CREATE ON SCHEMA public TO app_use, app_protect', [], database)
}

/** Runs SQL around the gate, as the role that owns what agents see. */
export async function arrange(postgres: PostgresServer, sql: string, database?: string): Promise<void> {
  await postgres.query(`SET ROLE app_use; ${sql}`, [], database)
}

export async function startGate(settings: TestGateSettings): Promise<TestGate> {
  const directory = mkdtempSync(join(tmpdir(), 'sp-gate-'))
  const { postgres } = settings
  const upstreams = postgres === null ? [] : Object.entries(settings.upstreams ?? { 'orders-db': {} })
  mkdirSync(join(directory, 'secrets'), { mode: 0o700 })
  for (const [name, { database = 'postgres', port = postgres?.port }] of upstreams) {
    if (postgres !== null) await makeRoles(postgres, database)
    for (const role of ['use', 'protect']) {
      const url = `postgres://app_${role}:${rolePassword}@127.0.0.1:${port}/${database}?sslmode=disable\n`
      writeFileSync(join(directory, 'secrets', `${name}.${role}`), url, { mode: 0o600 })
    }
  }
  if (settings.storeUrl !== undefined) writeFileSync(join(directory, 'secrets', 'store'), settings.storeUrl, { mode: 0o600 })
  const flags = [...vaultFlags(directory), ...(settings.vaultFlags ?? [])]
  const vault = await startProcess(directory, 'vault', [vaultMain, 'serve', ...flags, '--while-stdin-open'], {})
  try {
    return await new RunningTestGate(settings, directory, vault).begin()
  } catch (error) {
    await vault.stop()
    rmSync(directory, { recursive: true, force: true })
    throw error
  }
}

function vaultFlags(directory: string): readonly string[] {
  return [
    `--dir=${join(directory, 'vault')}`,
    `--socket=${join(directory, 'run', 'vault.sock')}`,
    `--token-file=${join(directory, 'vault.token')}`,
  ]
}

function startProcess(
  directory: string,
  name: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<Child> {
  return startChild({
    name,
    args,
    readyTimeoutMs,
    stopTimeoutMs,
    command: process.execPath,
    logFile: join(directory, 'logs', `${name}.log`),
    env: { ...childEnvironment(), ...environment },
  })
}

class RunningTestGate implements TestGate {
  readonly directory: string
  readonly configuration: string
  readonly host = '127.0.0.1'
  readonly vault: Child
  port = 0
  httpPort = 0
  controlUrl = ''
  readonly #settings: TestGateSettings
  #process: Child | null = null
  enrolmentUrl: string | null = null
  #people: HttpPerson[] = []
  readonly #log: LogOnDisk

  constructor(settings: TestGateSettings, directory: string, vault: Child) {
    this.#settings = settings
    this.directory = directory
    this.#log = new LogOnDisk(join(directory, 'log'))
    this.configuration = join(directory, 'sallyport.yaml')
    this.vault = vault
  }

  get process(): Child {
    if (this.#process === null) throw new Error('this gate is not running')
    return this.#process
  }

  async begin(): Promise<this> {
    this.#writeConfiguration(0, 0)
    await this.start()
    // From now on the same ports: a passkey is bound to the pages' address.
    this.#writeConfiguration(this.port, Number(new URL(this.controlUrl).port))
    return this
  }

  /** JSON is YAML. */
  #writeConfiguration(postgresPort: number, controlPort: number): void {
    const {
      mode = 'team',
      agents = { coder: { owner: 'ada', may: ['any orders-db'] } },
      upstreams = this.#settings.postgres === null ? {} : { 'orders-db': {} },
      limits = {},
      apis = {},
    } = this.#settings
    const written = {
      version: 1,
      mode,
      listen: {
        postgres: `127.0.0.1:${postgresPort}`,
        control: `localhost:${controlPort}`,
        ...(Object.keys(apis).length === 0 && this.#settings.http !== true ? {} : { http: `127.0.0.1:${this.httpPort}` }),
      },
      upstreams: {
        ...Object.fromEntries(
          Object.entries(upstreams).map(([name, { environment = 'production', quarantine, redact, continuous, keep }]) => [
            name,
            {
              protocol: 'postgres',
              environment,
              use: `file:secrets/${name}.use`,
              protect: `file:secrets/${name}.protect`,
              ...(quarantine === undefined ? {} : { quarantine }),
              ...(redact === undefined ? {} : { redact }),
              ...(continuous === undefined ? {} : { continuous }),
              ...(keep === undefined ? {} : { keep }),
            },
          ]),
        ),
        ...apis,
      },
      agents,
      limits,
      coolOff: this.#settings.coolOff ?? '0s',
      wait: this.#settings.wait ?? '20s',
      drain: this.#settings.drain ?? '5s',
      retention: '1d',
      deliver: this.#settings.deliver ?? {},
      escalate: this.#settings.escalate ?? [],
      alarms: this.#settings.alarms ?? {},
      keep: this.#settings.keep ?? {},
      log: this.#settings.log ?? {},
      ...this.#settings.people,
      ...(this.#settings.storeUrl === undefined ? {} : { store: 'file:secrets/store' }),
    }
    writeFileSync(this.configuration, JSON.stringify(written, null, 2), { mode: 0o600 })
  }

  async start(program = this.#settings.gatewayProgram ?? gatewayMain): Promise<void> {
    const socket = [
      `--vault-socket=${join(this.directory, 'run', 'vault.sock')}`,
      `--vault-token-file=${join(this.directory, 'vault.token')}`,
    ]
    const args = [
      program,
      `--config=${this.configuration}`,
      `--state=${this.directory}`,
      ...socket,
      '--exit-with-parent',
      ...(this.#settings.proposes === true ? [] : ['--own-configuration']),
      ...(this.#settings.gatewayFlags ?? []),
    ]
    this.#process = await startProcess(this.directory, 'gate', args, this.#settings.environment ?? {})
    const ready = readyShape.parse(this.#process.ready)
    this.port = Number(ready.postgresAddress.split(':').at(-1))
    this.httpPort = Number(ready.httpAddress?.split(':').at(-1) ?? 0)
    this.controlUrl = ready.controlUrl
    this.enrolmentUrl = ready.enrolmentUrl
  }

  async crash(): Promise<void> {
    this.process.kill()
    await this.process.ended
    this.#process = null
  }

  async halt(): Promise<void> {
    await this.process.stop()
    this.#process = null
  }

  async stop(): Promise<void> {
    await this.#process?.stop()
    await this.vault.stop()
    rmSync(this.directory, { recursive: true, force: true })
  }

  async issue(agent: string): Promise<string> {
    const { handle } = await this.post('/api/v1/handles', { agent }, z.object({ handle: z.string() }))
    return handle
  }

  async connect(agent: string, options: { readonly handle?: string; readonly database?: string } = {}): Promise<AgentConnection> {
    const handle = options.handle ?? (await this.issue(agent))
    const database = options.database ?? Object.keys(this.#settings.upstreams ?? { 'orders-db': {} })[0] ?? ''
    return openAgent({ host: this.host, port: this.port, user: agent, password: handle, database })
  }

  async person(name: string): Promise<HttpPerson> {
    const [first, second] = this.#people
    const link = first === undefined ? this.enrolmentUrl : await first.invite()
    if (link === null) throw new Error('somebody whom this test does not know is enrolled already')
    // From the third on, an invitation takes two people; in solo mode it does not matter.
    if (second !== undefined) await confirmInvitation(second, link)
    const person = makeHttpPerson(name, this.controlUrl)
    await person.enrol(link)
    this.#people.push(person)
    return person
  }

  async get<Shape>(path: string, shape: z.ZodType<Shape>): Promise<Shape> {
    return this.#call(path, { method: 'GET' }, shape)
  }

  async post<Shape>(path: string, body: unknown, shape: z.ZodType<Shape>): Promise<Shape> {
    return this.#call(path, { method: 'POST', body: JSON.stringify(body) }, shape)
  }

  async #call<Shape>(path: string, init: RequestInit, shape: z.ZodType<Shape>): Promise<Shape> {
    const token = readFileSync(join(this.directory, 'operator.token'), 'utf8')
    const response = await fetch(new URL(path, this.controlUrl), {
      ...init,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    })
    const text = await response.text()
    if (response.status !== 200) throw new Error(`${path} answered ${response.status}: ${text.slice(0, 300)}`)
    return shape.parse(JSON.parse(text))
  }

  async pendingRequest(agent: string): Promise<string> {
    const deadline = Date.now() + readyTimeoutMs
    while (Date.now() < deadline) {
      const { requests } = await this.get('/api/v1/requests', requestsShape)
      const found = requests.find((request) => request.agent === agent && request.state === 'pending')
      if (found !== undefined) return found.id
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    throw new Error(`no request of ${agent} waits for people`)
  }

  events(): readonly Event[] {
    return this.#log.events()
  }
}

async function openAgent(address: pg.ClientConfig): Promise<AgentConnection> {
  const client = new pg.Client(address)
  const notices: string[] = []
  client.on('notice', (notice) => notices.push(notice.message ?? ''))
  // The gate may go away under it, which is what some tests are about.
  client.on('error', () => undefined)
  await client.connect()
  return {
    client,
    notices,
    run: async (sql, values) => {
      try {
        const result = await client.query<Record<string, unknown>>(sql, values === undefined ? undefined : [...values])
        return { sqlState: '00000', message: '', hint: '', rows: result.rows ?? [], rowCount: result.rowCount ?? 0 }
      } catch (error) {
        const refused = error instanceof pg.DatabaseError ? error : null
        const message = error instanceof Error ? error.message : String(error)
        return { sqlState: refused?.code ?? '08006', message, hint: refused?.hint ?? '', rows: [], rowCount: 0 }
      }
    },
    close: () => client.end().catch(() => undefined),
  }
}
