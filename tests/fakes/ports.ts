import type {
  AccessRequest,
  Approval,
  Asked,
  Budgets,
  Clock,
  Connector,
  Event,
  GovernPorts,
  GovernSettings,
  KillSwitch,
  Log,
  Operation,
  Randomness,
  ResolvedOperation,
  Session,
  Snapshot,
  Upstream,
  Vault,
  AllowedScope,
} from '@sallyport/core'
import { challengeOf, parseScope, SallyportError } from '@sallyport/core'
import { createPolicyEngine } from '@sallyport/core/policy'
import { openBudgets } from '../../packages/gateway/src/store/budgets.ts'
import { openDatabase } from '../../packages/gateway/src/store/database.ts'
import { openQuarantines } from '../../packages/gateway/src/store/quarantines.ts'
import { openRequests } from '../../packages/gateway/src/store/requests.ts'

/** A clock that moves only when told. */
export class FakeClock implements Clock {
  #nowMs = 1_800_000_000_000
  readonly #sleepers = new Set<{ atMs: number; wake: () => void }>()
  nowMs(): number {
    return this.#nowMs
  }
  advance(ms: number): void {
    this.#nowMs += ms
    for (const sleeper of this.#sleepers) if (sleeper.atMs <= this.#nowMs) sleeper.wake()
  }
  /** How long until the first of those who sleep wakes; null: nobody sleeps. */
  get soonestMs(): number | null {
    const left = [...this.#sleepers].map(({ atMs }) => atMs - this.#nowMs)
    return left.length === 0 ? null : Math.min(...left)
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const sleeper = {
        atMs: this.#nowMs + ms,
        wake: () => {
          this.#sleepers.delete(sleeper)
          resolve()
        },
      }
      this.#sleepers.add(sleeper)
      if (signal?.aborted === true) sleeper.wake()
      else signal?.addEventListener('abort', sleeper.wake, { once: true })
    })
  }
}

export class MemoryLog implements Log {
  readonly events: Event[] = []
  readonly reads: string[] = []
  failing = false
  catchUp: () => Promise<void> = () => (this.failing ? Promise.reject(logFailure()) : Promise.resolve())
  async append(event: Event): Promise<number> {
    if (this.failing) throw logFailure()
    return this.events.push(event) - 1
  }
  appendRead(_session: string, _agent: string, key: string): void {
    if (this.failing) throw logFailure()
    this.reads.push(key)
  }
  types(): string[] {
    return this.events.map(({ type }) => type)
  }
}

function logFailure(): SallyportError {
  return new SallyportError('log_unavailable', 'The log cannot append.', 'Nothing was run.', 'Mend the disk.')
}

/** A vault that keeps what it is given in memory; `fail` makes it refuse to seal. */
export class MemoryVault implements Vault {
  readonly snapshots: Snapshot[] = []
  fail = false
  async seal(about: Parameters<Vault['seal']>[0], fill: Parameters<Vault['seal']>[1]): Promise<Snapshot> {
    if (this.fail)
      throw new SallyportError('vault_unavailable', 'The vault does not answer.', 'Nothing was run.', 'Start the vault.')
    const content = await fill({ put: async () => ({ sha256: '', bytes: 0 }), read: async function* () {} })
    const snapshot: Snapshot = {
      id: `snapshot-${this.snapshots.length}`,
      kind: content.kind,
      upstream: about.upstream,
      upstreamIdentity: about.upstreamIdentity,
      digest: about.digest,
      madeAtMs: 0,
      rows: content.rows,
      bytes: content.bytes,
      checksums: content.checksums,
      retainUntilMs: about.retainMs,
    }
    this.snapshots.push(snapshot)
    return snapshot
  }
  async open(): Promise<never> {
    throw new SallyportError('vault_unavailable', 'This vault is a fake.', 'Nothing was read.', 'Use a real one.')
  }
  async list(): Promise<readonly Snapshot[]> {
    return this.snapshots
  }
  async newest(): Promise<Snapshot | null> {
    return this.snapshots.at(-1) ?? null
  }
}

export class FakeKillSwitch implements KillSwitch {
  reason: string | null = null
  count = 0
  epoch(): number {
    return this.count
  }
  epochOf(): number {
    return this.count
  }
  stopped(): string | null {
    return this.reason
  }
  pull(reason: string): void {
    this.reason = reason
    this.count += 1
  }
}

export function sequentialRandomness(): Randomness {
  let next = 0
  return { hex: (bytes) => (next++).toString(16).padStart(bytes * 2, '0') }
}

/** A connector that says what the test says. */
export interface ScriptedConnector extends Connector {
  operations: readonly Operation[]
  resolved: readonly ResolvedOperation[] | null
  snapshotRows: number
  changed: number
  describes: number
}

export function scriptConnector(operations: readonly Operation[]): ScriptedConnector {
  const connector: ScriptedConnector = {
    id: 'fake',
    protocol: 'fake',
    operations,
    resolved: null,
    snapshotRows: 1,
    changed: 0,
    describes: 0,
    describe: async () => {
      connector.describes += 1
      return connector.operations
    },
    resolve: async (described) => connector.resolved ?? described.map((operation) => ({ ...operation, copy: { kind: 'none' } })),
    snapshot: async (of) => ({
      kind: of.some(({ copy }) => copy.kind === 'tables') ? 'tables' : 'rows',
      rows: connector.snapshotRows,
      bytes: 10,
      checksums: {},
      manifest: null,
    }),
    count: async () => connector.changed,
  }
  return connector
}

function scopeOf(text: string): AllowedScope {
  const parsed = parseScope(text)
  if (typeof parsed === 'string') throw new Error(parsed)
  return parsed
}

export interface Bench {
  readonly ports: GovernPorts
  readonly clock: FakeClock
  readonly log: MemoryLog
  readonly vault: MemoryVault
  readonly killSwitch: FakeKillSwitch
  readonly connector: ScriptedConnector
  readonly settings: { -readonly [Key in keyof GovernSettings]: GovernSettings[Key] }
  readonly session: Session
  readonly upstream: Upstream
  readonly opened: AccessRequest[]
  readonly budgets: Budgets
  may: readonly string[]
  /** Whether the restore point that configuration demands is there. */
  drilled: boolean
}

/** Everything govern needs, with a real store in memory and fakes for the rest. */
export function makeBench(connector: ScriptedConnector): Bench {
  const clock = new FakeClock()
  const log = new MemoryLog()
  const vault = new MemoryVault()
  const killSwitch = new FakeKillSwitch()
  const database = openDatabase(':memory:')
  const opened: AccessRequest[] = []
  const budgets = openBudgets(database, clock)
  const settings = {
    mode: 'team' as const,
    coolOffMs: 900_000,
    rowsWithoutPrompt: 1000,
    windowMs: 3_600_000,
    retainMs: 1,
    requestMs: 3_600_000,
    pendingMax: 3,
  }
  const engines = new Map<string, ReturnType<typeof createPolicyEngine>>()
  const bench: Bench = {
    clock,
    log,
    vault,
    killSwitch,
    connector,
    settings,
    opened,
    budgets,
    may: ['any orders-db'],
    drilled: true,
    session: {
      id: 'session-1',
      subject: { agent: 'coder', owner: 'ada' },
      handleId: 'h',
      protocol: 'fake',
      upstream: 'orders-db',
      openedAtMs: 0,
      peer: 'test',
    },
    upstream: {
      name: 'orders-db',
      identity: 'system:1',
      environment: 'production',
      access: { kind: 'sql', session: noChannel, protect: noChannel, hold: async () => undefined },
    },
    ports: {
      clock,
      random: sequentialRandomness(),
      log,
      vault,
      requests: openRequests(database),
      quarantines: openQuarantines(database),
      restorePoints: { isDrilled: async () => bench.drilled },
      budgets,
      killSwitch,
      notify: { requestOpened: (request) => void opened.push(request) },
      connectors: new Map([['fake', connector]]),
      describers: { describe: async () => [] },
      policy: () => {
        const key = bench.may.join('\n')
        const engine = engines.get(key) ?? createPolicyEngine([{ agent: 'coder', scopes: bench.may.map(scopeOf) }])
        engines.set(key, engine)
        return engine
      },
      settings: () => settings,
      requestUrl: (id) => `http://localhost/requests/${id}`,
    },
  }
  return bench
}

const noChannel = {
  query: async () => [],
  copyOut: async function* () {},
  copyIn: async () => 0,
}

/** A verdict as the people's listener hands it over once a passkey was verified. */
export function approvalOf(request: AccessRequest, person: string, verdict: 'approve' | 'reject' = 'approve'): Approval {
  return {
    person,
    verdict,
    atMs: 0,
    challenge: challengeOf(request, verdict),
    credentialId: `key of ${person}`,
    evidence: null,
    reason: '',
  }
}

/** What a protocol asks govern for an agent on this bench: a DROP, unless told otherwise. */
export function makeAsked({ session, upstream }: Pick<Bench, 'session' | 'upstream'>, over: Partial<Asked> = {}): Asked {
  const payload = {
    protocol: 'fake',
    upstream: 'orders-db',
    upstreamIdentity: 'system:1',
    bytesSha256: 'ab'.repeat(32),
    bindValues: [],
    settings: {},
  }
  return { session, upstream, connector: 'fake', decoded: {}, payload, text: 'DROP TABLE orders', key: null, ...over }
}
