import { createHash, randomBytes } from 'node:crypto'
import {
  type AccessRequest,
  cancelRequest,
  type Clock,
  type CodeRule,
  type Event,
  giveVerdict,
  type Log,
  type Question,
  type Quorum,
  type Randomness,
  SallyportError,
  type Session,
  type VerdictPorts,
} from '@sallyport/core'
import { parseConfig, type Config } from '../../packages/gateway/src/config.ts'
import { openPolicyDesk } from '../../packages/gateway/src/policy-desk.ts'
import { makePolicy } from '../../packages/gateway/src/policy-settings.ts'
import { tryPolicy } from '../../packages/gateway/src/policy-trial.ts'
import { openConfigurationDesk } from '../../packages/gateway/src/configuration-desk.ts'
import { type ControlListener, startControl } from '../../packages/gateway/src/control/index.ts'
import type { Codes } from '../../packages/gateway/src/control/code-ports.ts'
import type { Control, ControlPorts, Feed, Kill, Signed } from '../../packages/gateway/src/control/ports.ts'
import { openReviews, type Reviews } from '../../packages/gateway/src/access/reviews.ts'
import type { Recorded } from '../../packages/gateway/src/control/overview.ts'
import { openDatabase } from '../../packages/gateway/src/store/database.ts'
import { openMeta } from '../../packages/gateway/src/store/meta.ts'
import { openPeople } from '../../packages/gateway/src/store/people.ts'
import { openSessionStories } from '../../packages/gateway/src/log/session-stories.ts'
import { openRequests } from '../../packages/gateway/src/store/requests.ts'

export const operatorToken = 'operator-token-of-the-tests-0123456789'
export const operatorTokenSha256 = createHash('sha256').update(operatorToken).digest('hex')

/** The real time, moved on by hand when a test wants to be later. */
export class ShiftedClock implements Clock {
  shiftMs = 0
  nowMs(): number {
    return Date.now() + this.shiftMs
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      const wake = (): void => {
        clearTimeout(timer)
        resolve()
      }
      if (signal?.aborted) wake()
      signal?.addEventListener('abort', wake, { once: true })
    })
  }
}

/** A log in memory that can be followed, and made to fail. */
export class FollowedLog implements Log, Feed {
  readonly events: Event[] = []
  readonly #listeners = new Set<(recorded: Recorded) => void>()
  failing = false
  async append(event: Event): Promise<number> {
    if (this.failing) throw new SallyportError('log_unavailable', 'The log cannot append.', 'Nothing was done.', 'Mend the disk.')
    const index = this.events.push(event) - 1
    for (const listener of this.#listeners) listener({ index, event })
    return index
  }
  appendRead(): void {
    // Reads are not part of what people do.
  }
  async recent(after: number | null, limit: number): Promise<readonly Recorded[]> {
    const records = this.events.map((event, index) => ({ index, event }))
    return records.filter(({ index }) => index > (after ?? -1)).slice(-limit)
  }
  subscribe(listener: (recorded: Recorded) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
  get followers(): number {
    return this.#listeners.size
  }
  ofType(type: Event['type']): readonly Event[] {
    return this.events.filter((event) => event.type === type)
  }
}

/** In force. */
export const configurationOfTests = `version: 1
coolOff: 10m
upstreams:
  orders-db: { protocol: postgres, use: file:use }
agents:
  coder: { owner: ada, may: [read orders-db] }
`

function configOf(text: string): Config {
  const read = parseConfig(text, '/etc/sallyport.yaml')
  if (!read.ok) throw new Error(JSON.stringify(read.mistakes))
  return read.config
}

function openDesk(
  { database, ...ports }: { clock: Clock; log: FollowedLog; database: ReturnType<typeof openDatabase> },
  readFile: () => string,
): Pick<Control, 'configuration' | 'policyDesk'> {
  const read = (): ReturnType<typeof parseConfig> => parseConfig(readFile(), '/etc/sallyport.yaml')
  const inForce = configOf(configurationOfTests)
  const configuration = openConfigurationDesk({ ...ports, memory: openMeta(database), read }, inForce)
  const policyDesk = openPolicyDesk({
    configuration,
    inForce,
    policy: makePolicy(inForce),
    record: recordOf(ports.log),
    sessions: () => [],
    standing: async () => ({ restorePoints: [], undrilled: [] }),
    // Without a thread: what a trial says is the same.
    run: async (input) => tryPolicy(input),
  })
  return { configuration, policyDesk }
}

function recordOf(log: FollowedLog): ControlPorts['overview']['record'] {
  return {
    size: () => log.events.length,
    read: async (from, count) => (await log.recent(from - 1, log.events.length)).slice(0, count),
    prove: () => Promise.resolve(null),
  }
}

function storiesOf({ events }: FollowedLog): ReturnType<typeof openSessionStories> {
  const read = async (from: number, count: number): Promise<readonly Recorded[]> =>
    events.slice(from, from + count).map((event, place) => ({ index: from + place, event }))
  return openSessionStories({ size: () => events.length, read })
}

function ownersOfTests(): { agent: string; owner: string }[] {
  return [
    { agent: 'coder', owner: 'ada' },
    { agent: 'reporter', owner: 'ada' },
  ]
}

/** A gate without upstreams: real store in memory, real verdicts, scripted rest. */
export interface PeopleBench {
  readonly database: ReturnType<typeof openDatabase>
  readonly ports: ControlPorts
  readonly clock: ShiftedClock
  readonly log: FollowedLog
  readonly sessions: Session[]
  readonly kills: Kill[]
  readonly releases: Signed[]
  /** `file` is sallyport.yaml as it lies on the disk now. */
  readonly state: {
    file: string
    mode: 'solo' | 'team'
    policyHash: string
    warnings: string[]
    owners: { agent: string; owner: string }[]
    quorum: Quorum | null
    /** Asked each time, where it is not `quorum` that says it. */
    findQuorum?: (upstream: string) => Promise<Quorum | null>
    /** Who may break glass. */
    breakers: string[]
    /** What verdicts are judged by when they come; the pages have the one that the bench was made with. */
    codeRule: CodeRule | null
  }
  ask(changes?: Partial<Question>, request?: Partial<AccessRequest>): Promise<AccessRequest>
}

type Judged = Pick<ControlPorts, 'clock' | 'requests' | 'people' | 'log'>

function verdictPortsOf({ clock, requests, people, log }: Judged, state: PeopleBench['state'], glass: Reviews): VerdictPorts {
  return {
    clock,
    random: { hex: (bytes) => randomBytes(bytes).toString('hex') },
    log,
    requests,
    policyHash: () => state.policyHash,
    mode: () => state.mode,
    isEnrolled: async (name) => (await people.list()).some((one) => one.name === name),
    quorumOf: (upstream) => state.findQuorum?.(upstream) ?? state.quorum,
    glass,
    codeRule: () => state.codeRule,
    grantMs: 3_600_000,
  }
}

/** What no test of the pages looks behind. */
function scriptedControl(
  clock: Clock,
  random: Randomness,
): Pick<Control, 'newestCopy' | 'copy' | 'snapshots' | 'undo' | 'issueHandle' | 'revokeHandle' | 'standing' | 'endStanding'> {
  return {
    newestCopy: async ({ upstream }) => snapshotOf(upstream, clock.nowMs() - 4000),
    copy: async ({ upstream }) => snapshotOf(upstream, clock.nowMs()),
    snapshots: async () => [snapshotOf('orders-db', clock.nowMs() - 4000)],
    undo: async () => ({ rows: 48_211, tables: ['public.orders'], verified: true, note: 'put back' }),
    async issueHandle(agent, ttlMs) {
      if (agent !== 'coder')
        throw new SallyportError('not_in_scope', 'No such agent.', 'No handle was issued.', 'Add the agent first.')
      return { id: random.hex(8), handle: random.hex(32), expiresAtMs: clock.nowMs() + (ttlMs ?? 3_600_000) }
    },
    revokeHandle: async (id) => id === 'handle-1',
    standing: () => [],
    endStanding: async () => null,
  }
}

export function makePeopleBench(codes?: Codes): PeopleBench {
  const clock = new ShiftedClock()
  const log = new FollowedLog()
  const random: Randomness = { hex: (bytes) => randomBytes(bytes).toString('hex') }
  const database = openDatabase(':memory:')
  const requests = openRequests(database)
  const stored = openPeople(database)
  const sessions: Session[] = []
  const kills: Kill[] = []
  const releases: Signed[] = []
  const state: PeopleBench['state'] = {
    file: configurationOfTests,
    mode: 'solo',
    policyHash: 'e'.repeat(64),
    warnings: [],
    owners: ownersOfTests(),
    quorum: null,
    breakers: [],
    codeRule: codes?.rule ?? null,
  }
  const reviews = openReviews({ clock, log, memory: openMeta(database), breakers: state.breakers, delayMs: 900_000 })
  const verdictPorts = verdictPortsOf({ clock, log, requests, people: stored.people }, state, reviews)
  const control: Control = {
    quarantined: () => Promise.resolve([]),
    keeping: { targets: () => Promise.resolve([]), begin: () => neverKept(), job: () => null },
    vaultTargets: async () => ({ atMs: clock.nowMs(), targets: [], storage: null, holds: [], worth: '', problem: null }),
    reviews: () => reviews.open(),
    closeReview: (request, { person, ...signed }) => reviews.close(request, person, { ...signed }),
    glassFault: (person) => reviews.fault(person),
    verdict: (id, approval) => giveVerdict(verdictPorts, id, approval),
    cancel: (id, by) => cancelRequest(verdictPorts, id, by),
    async kill(scope, reason, by) {
      const startedMs = performance.now()
      const kill = { id: random.hex(8), scope, reason, by, atMs: clock.nowMs() }
      kills.push(kill)
      const ended = sessions.filter(({ id, subject }) => scope.kind === 'all' || scope.id === id || scope.id === subject.agent)
      for (const session of ended) sessions.splice(sessions.indexOf(session), 1)
      await log.append({ type: 'kill', atMs: kill.atMs, data: { kind: scope.kind, name: scope.id, by, reason } })
      return { kill, acknowledgedMs: performance.now() - startedMs, sessionsEnded: ended.length }
    },
    async release(id, signed) {
      const index = kills.findIndex((kill) => kill.id === id)
      if (index === -1) return false
      await log.append({ type: 'release', atMs: clock.nowMs(), data: { kill: id, by: signed.person } })
      kills.splice(index, 1)
      releases.push(signed)
      return true
    },
    kills: async () => kills,
    sessions: async () => sessions,
    agents: () => state.owners.map(({ agent }) => agent),
    owners: () => state.owners,
    ...scriptedControl(clock, random),
    guardSentence: (id) => (id === 'destroy-needs-person' ? 'What destroys in production is approved by a person.' : null),
    posture: () => ({ mode: state.mode, isolationLevel: 2, warnings: state.warnings }),
    ...openDesk({ clock, log, database }, () => state.file),
  }
  const ports = {
    clock,
    random,
    log,
    feed: log,
    stories: storiesOf(log),
    requests,
    control,
    people: stored.people,
    links: stored.links,
    webSessions: stored.webSessions,
    ...(codes && { codes }),
    overview: overviewOf(log, state),
  }
  const ask: PeopleBench['ask'] = async (changes = {}, request = {}) => {
    const made = { ...makeRequest(clock.nowMs(), { ...makeQuestion(), ...changes }), ...request }
    await requests.open(made)
    await log.append({
      type: 'request.opened',
      atMs: clock.nowMs(),
      session: made.session,
      agent: made.question.subject.agent,
      data: { request: made.id },
    })
    return made
  }
  return { database, ports, clock, log, sessions, kills, releases, state, ask }
}

function overviewOf(log: FollowedLog, state: PeopleBench['state']): ControlPorts['overview'] {
  const { hash, guards } = { hash: state.policyHash, guards: [] }
  return {
    agents: () =>
      state.owners.map(({ agent, owner }) => ({
        name: agent,
        owner,
        scopes: [{ kinds: ['read'], action: null, upstream: 'orders-db' }],
        handleMs: 3_600_000,
      })),
    handles: () => Promise.resolve([]),
    upstreams: () => [],
    quorumOf: (upstream) => state.findQuorum?.(upstream) ?? state.quorum,
    policy: () => ({ hash, guards, rowsWithoutPrompt: 1000, coolOffMs: 0, retainMs: 1, requestMs: 1, acceptRisk: [] }),
    record: recordOf(log),
  }
}

/** The people's pages and API of a bench, on real sockets at a free port. */
export function startPeopleListener(bench: PeopleBench): Promise<ControlListener> {
  return startControl(bench.ports, { port: 0, operatorTokenSha256 })
}

function snapshotOf(upstream: string, madeAtMs: number): Awaited<ReturnType<Control['snapshots']>>[number] {
  return {
    id: 'a'.repeat(64),
    kind: 'tables',
    upstream,
    upstreamIdentity: 'system:1',
    digest: 'd'.repeat(64),
    madeAtMs,
    rows: 1,
    bytes: 1,
    checksums: {},
    retainUntilMs: madeAtMs + 1,
  }
}

export function makeRequest(nowMs: number, question: Question): AccessRequest {
  return {
    id: randomBytes(16).toString('hex'),
    nonce: randomBytes(16).toString('hex'),
    session: 'session-7f3a',
    question,
    state: 'pending',
    approvals: [],
    createdAtMs: nowMs,
    expiresAtMs: nowMs + 15 * 60_000,
    notBeforeMs: null,
    endedBy: null,
  }
}

/** A believable question: the one of DESIGN's example. */
export function makeQuestion(): Question {
  return {
    digest: createHash('sha256').update('digest').digest('hex'),
    subject: { agent: 'coder', owner: 'ada' },
    protocol: 'postgres',
    upstream: 'orders-db',
    environment: 'production',
    text: '-- clean up after the migration\nDROP TABLE orders CASCADE;',
    bindValues: [],
    operations: [
      {
        action: 'postgres.drop_table',
        kind: 'destroy',
        reversible: false,
        why: 'DROP TABLE removes the table and every row in it, and CASCADE takes what depends on it along.',
        resources: [
          {
            type: 'table',
            name: 'public.orders',
            identity: 'oid 16412 of system 7301',
            schemaHash: createHash('sha256').update('orders').digest('hex'),
          },
        ],
        rows: 48_211,
        bytes: 12_345_678,
        tables: ['public.orders', 'public.order_lines', 'public.order_notes'],
        dependants: ['view public.daily_revenue', 'view public.open_orders'],
      },
    ],
    rowsMax: 53_033,
    copy: 'tables',
    approvalsNeeded: 1,
    delayMs: 0,
    guards: ['destroy-needs-person', 'destroy-needs-proven-copy'],
    policyHash: 'e'.repeat(64),
  }
}

function neverKept(): never {
  throw new Error('these people keep nothing whole')
}
