import { createHash, createHmac, pbkdf2Sync, randomBytes, randomUUID } from 'node:crypto'
import {
  SallyportError,
  type Asked,
  type Attendance,
  type Cleared,
  type Clearance,
  type Considered,
  type Gate,
  type Handle,
  type ImpactKind,
  type OpenSession,
  type Outcome,
  type Refusal,
  type Session,
  type Upstream,
} from '@sallyport/core'
import { makeClearance } from '../../packages/core/src/clearance.ts'

/** What the scripted govern says about one statement. */
export type FakeVerdict =
  | {
      readonly kind: ImpactKind
      readonly counted?: boolean
      /** Runs while govern works: conversations, holds, waiting for people. */
      readonly during?: (upstream: Upstream, attendance: Attendance) => Promise<void>
      readonly settle?: () => Refusal | null
      /** Put into the clearance instead of the digest of what was asked. */
      readonly forgedSha256?: string
    }
  | { readonly refused: Refusal; readonly during?: (upstream: Upstream, attendance: Attendance) => Promise<void> }

export const refusal = (over: Partial<Refusal> = {}): Refusal => ({
  outcome: 'refused',
  code: 'refused_by_guard',
  message: 'destroying waits for people',
  notDone: 'The statement was not run.',
  next: 'Ask a person.',
  guards: ['destroy-in-production'],
  ...over,
})

const readStarts =
  /^\s*(select|show|values|table|begin|start|commit|end|rollback|abort|savepoint|release|fetch|explain|copy|set|reset|close|discard|deallocate|$)/i

/** Reads by their first word; DROP and TRUNCATE refused; the rest writes. */
export function decideByFirstWord(asked: Asked): FakeVerdict {
  if (/\b(drop|truncate)\b/i.test(asked.text)) return { refused: refusal() }
  return { kind: readStarts.test(asked.text) ? 'read' : 'write' }
}

const iterations = 4096

function deriveScram(secret: string, salt: string): Handle['scram'] {
  const salted = pbkdf2Sync(secret, Buffer.from(salt, 'base64'), iterations, 32, 'sha256')
  const clientKey = createHmac('sha256', salted).update('Client Key').digest()
  return {
    salt,
    iterations,
    storedKey: createHash('sha256').update(clientKey).digest('base64'),
    serverKey: createHmac('sha256', salted).update('Server Key').digest('base64'),
  }
}

export interface FakeOptions {
  readonly decide?: (asked: Asked) => FakeVerdict
  /** Recall is true for everything that was a read once (default), or never, or always. */
  readonly recall?: 'reads' | 'never' | 'always'
  readonly readOnly?: boolean
  readonly upstreams?: readonly string[]
  /** Keeps no record of what was asked: for long runs. */
  readonly forgetful?: boolean
}

/** A gate whose govern says what a test scripts, and remembers what it was asked. */
export class FakeGate {
  readonly asked: Asked[] = []
  /** What was prepared apart from being run. */
  readonly considered: Asked[] = []
  readonly outcomes: { readonly text: string; readonly outcome: Outcome }[] = []
  readonly door: string[] = []
  readonly alarms: Parameters<Gate['alarm']>[0][] = []
  readonly closed: { readonly session: string; readonly reason: string }[] = []
  readonly gate: Gate
  recalled = 0
  decide: (asked: Asked) => FakeVerdict
  /** Nothing is recalled until it is null again: the log is behind. */
  behind: Promise<void> | null = null
  /** Reads that waited for it. */
  waited = 0
  /** Until a session that opens is on the log. */
  recorded: () => Promise<void> = () => Promise.resolve()
  #options: FakeOptions
  #handles = new Map<string, Handle[]>()
  #keys = new Set<string>()
  #open = new Map<string, AbortController>()
  #cleared = new WeakMap<Clearance, { readonly text: string; readonly verdict: FakeVerdict }>()
  #epoch = 1
  #killed: string | null = null
  #changed: (() => void)[] = []

  constructor(options: FakeOptions = {}) {
    this.#options = options
    this.decide = options.decide ?? decideByFirstWord
    this.gate = {
      govern: {
        ask: (asked, attendance) => this.#ask(asked, attendance),
        recall: (session, key) => this.#recall(session, key),
        catchUp: (_session, key) => this.#catchUp(key),
        knows: (_session, key) => this.#knows(key),
        consider: (asked) => this.#consider(asked),
        settle: (clearance) => Promise.resolve(this.#settle(clearance)),
        conclude: (clearance, outcome) => this.#conclude(clearance, outcome),
      },
      handles: {
        candidates: (agent) => Promise.resolve(this.#handles.get(agent) ?? []),
        narrow: () => Promise.reject(new Error('nobody narrows here')),
        scramParameters: (agent) => ({ salt: saltOf(agent), iterations }),
      },
      sessions: {
        open: (handle, protocol, upstream, peer, meanwhile) => this.#openSession(handle, protocol, upstream, peer, meanwhile),
        close: (session, reason) => {
          this.closed.push({ session, reason })
          this.#open.delete(session)
          this.#announce()
          return Promise.resolve()
        },
      },
      killSwitch: { epoch: () => this.#epoch, epochOf: () => this.#epoch, stopped: () => this.#killed },
      refusedAtDoor: (_protocol, _peer, agent, why) => {
        this.door.push(`${agent}: ${why}`)
        this.#announce()
      },
      alarm: (event) => {
        this.alarms.push(event)
        this.#announce()
      },
    }
  }

  /** A new handle; gives its secret. */
  issue(agent: string): string {
    const secret = randomBytes(16).toString('hex')
    const handle: Handle = {
      id: randomUUID(),
      agent,
      owner: 'owner',
      parent: null,
      issuedAtMs: 0,
      expiresAtMs: Number.MAX_SAFE_INTEGER,
      revokedAtMs: null,
      scram: deriveScram(secret, saltOf(agent)),
      secretSha256: createHash('sha256').update(secret).digest('hex'),
    }
    this.#handles.set(agent, [...(this.#handles.get(agent) ?? []), handle])
    return secret
  }

  kill(reason: string): void {
    this.#epoch += 1
    this.#killed = reason
    for (const controller of this.#open.values()) controller.abort(reason)
  }

  release(): void {
    this.#epoch += 1
    this.#killed = null
  }

  /** Lets the epoch pass, as a kill of somebody else does. */
  bumpEpoch(): void {
    this.#epoch += 1
  }

  forget(): void {
    this.#keys.clear()
  }

  get sessionsOpen(): number {
    return this.#open.size
  }

  /** Resolves when `condition` holds; looked at whenever something is noted. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#changed.push(resolve))
  }

  #announce(): void {
    const waiting = this.#changed
    this.#changed = []
    for (const wake of waiting) wake()
  }

  async #ask(asked: Asked, attendance: Attendance): Promise<Cleared | Refusal> {
    if (this.#options.forgetful !== true) this.asked.push(asked)
    this.#announce()
    const verdict = this.decide(asked)
    try {
      await verdict.during?.(asked.upstream, attendance)
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error
      return refusal({ code: error.code, message: error.message, notDone: error.notDone, next: error.next, guards: [] })
    }
    if ('refused' in verdict) return verdict.refused
    if (verdict.kind === 'read' && asked.key !== null) this.#keys.add(asked.key)
    const clearance = makeClearance({
      digest: asked.payload.bytesSha256,
      bytesSha256: verdict.forgedSha256 ?? asked.payload.bytesSha256,
      intent: 'intent',
      rowsMax: null,
      killEpoch: this.#epoch,
    })
    this.#cleared.set(clearance, { text: asked.text, verdict })
    return { outcome: 'cleared', kind: verdict.kind, clearance, operations: [], counted: verdict.counted ?? false }
  }

  /** Of what is prepared and not run: a verdict that counts rows, or does something meanwhile, needs more than this. */
  #consider(asked: Asked): Promise<Considered | Refusal> {
    if (this.#options.forgetful !== true) this.considered.push(asked)
    const verdict = this.decide(asked)
    const notYet = 'refused' in verdict ? verdict.refused.code === 'approval_required' : verdict.counted === true
    if ('refused' in verdict && !notYet) return Promise.resolve(verdict.refused)
    return Promise.resolve({
      outcome: 'considered',
      may: notYet ? 'not_yet' : 'now',
      reads: !('refused' in verdict) && verdict.kind === 'read',
    })
  }

  #knows(key: string): boolean {
    if (this.#killed !== null) throw new SallyportError('killed', this.#killed, 'Nothing was sent upstream.', 'Wait.')
    return this.#options.recall === 'always' || (this.#options.recall !== 'never' && this.#keys.has(key))
  }

  #recall(_session: Session, key: string): boolean {
    const known = this.#knows(key) && this.behind === null
    if (known) this.recalled += 1
    return known
  }

  #catchUp(key: string): Promise<void> | null {
    if (!this.#knows(key)) return null
    if (this.behind !== null) this.waited += 1
    return this.behind ?? Promise.resolve()
  }

  #settle(clearance: Clearance): Refusal | null {
    const verdict = this.#cleared.get(clearance)?.verdict
    return verdict !== undefined && 'kind' in verdict ? (verdict.settle?.() ?? null) : null
  }

  #conclude(clearance: Clearance, outcome: Outcome): Promise<void> {
    if (this.#options.forgetful !== true)
      this.outcomes.push({ text: this.#cleared.get(clearance)?.text ?? 'not of this gate', outcome })
    this.#announce()
    return Promise.resolve()
  }

  async #openSession(
    handle: Handle,
    protocol: string,
    upstream: string,
    peer: string,
    meanwhile?: (open: OpenSession) => void,
  ): Promise<OpenSession> {
    if (this.#killed !== null)
      return Promise.reject(new SallyportError('killed', this.#killed, 'No session was opened.', 'Wait.'))
    const allowed = this.#options.upstreams
    if (allowed !== undefined && !allowed.includes(upstream)) {
      return Promise.reject(
        new SallyportError('not_in_scope', `${handle.agent} has nothing on ${upstream}`, 'No session was opened.', 'Ask.'),
      )
    }
    const controller = new AbortController()
    const id = randomUUID()
    this.#open.set(id, controller)
    const session = {
      id,
      subject: { agent: handle.agent, owner: handle.owner },
      handleId: handle.id,
      protocol,
      upstream,
      openedAtMs: 0,
      peer,
    }
    this.#announce()
    const open = { session, signal: controller.signal, readOnly: this.#options.readOnly ?? false }
    const written = this.recorded()
    written.catch(() => controller.abort('the log failed'))
    if (meanwhile === undefined) {
      await written
      return open
    }
    const begun = { ...open, written }
    meanwhile(begun)
    return begun
  }
}

function saltOf(agent: string): string {
  return createHash('sha256').update(`salt ${agent}`).digest().subarray(0, 16).toString('base64')
}
