import { canonicalJson, sha256Hex, type Json } from '../canonical.ts'
import type { Event } from '../event.ts'
import { countedReads, isOwn, readOpening, stops, threadsOf, type Opening } from './session-facts.ts'
import { readStep } from './read-step.ts'
import type { GrowingStep, StoryStep } from './story-step.ts'
import { TextAllowance } from './story-text.ts'

export interface StoryTotals {
  /** Reads that were let through. */
  readonly reads: number
  /** Of what is no read: cleared and sent. */
  readonly ran: number
  readonly failed: number
  readonly unknown: number
  readonly refused: number
  readonly asked: number
  /** Changed, as far as outcomes say. */
  readonly rows: number
  readonly copies: number
  readonly alarms: number
}

/** What a story leaves out of its middle, so that nothing is left out without a word. */
export interface LeftOut {
  readonly steps: number
  readonly fromIndex: number
  readonly toIndex: number
  /** SHA-256, hex, over the digest before (empty at first) and the canonical JSON of each step, one after another. */
  readonly sha256: string
}

/** The whole story of one session, from its entries on the log. */
export interface SessionStory extends Opening {
  readonly id: string
  readonly agent: string
  readonly openedAtMs: number | null
  /** Null: it is open, or its gate was killed. */
  readonly closedAtMs: number | null
  readonly closedWhy: string | null
  readonly totals: StoryTotals
  readonly steps: readonly StoryStep[]
  readonly leftOut: LeftOut | null
}

/** Steps kept of the beginning, and as many of the end. */
const stepsKept = 1_000
const textCharactersMax = 1_000_000

/** Requests and copies of a session: looked up first, because people's part of its story stands before, behind and beside it. */
export function collectThreads(session: string): { see(event: Event): void; readonly threads: ReadonlySet<string> } {
  const threads = new Set<string>()
  return {
    threads,
    see: (event) => {
      if (event.session === session) for (const thread of threadsOf(event)) threads.add(thread)
    },
  }
}

/** Tells a session's story from the log's events, given in their order; those of others are passed over. */
export class StoryTeller {
  readonly #session: string
  readonly #threads: ReadonlySet<string>
  readonly #kept: number
  readonly #texts: TextAllowance
  readonly #head: GrowingStep[] = []
  #tail: GrowingStep[] = []
  #leftOut: { steps: number; fromIndex: number; toIndex: number; sha256: string } | null = null
  readonly #intents = new Map<string, GrowingStep>()
  readonly #reads = new Map<string, GrowingStep>()
  /** Of a step that is left out, what would have been added to it. */
  readonly #forget = new WeakMap<GrowingStep, () => void>()
  readonly #totals = { reads: 0, ran: 0, failed: 0, unknown: 0, refused: 0, asked: 0, rows: 0, copies: 0, alarms: 0 }
  #opening: Opening = { owner: '', protocol: '', upstream: '', peer: '' }
  #agent = ''
  #openedAtMs: number | null = null
  #closed: { readonly atMs: number; readonly why: string } | null = null

  constructor(session: string, threads: ReadonlySet<string>, limits: { readonly stepsKept?: number } = {}) {
    this.#session = session
    this.#threads = threads
    this.#kept = limits.stepsKept ?? stepsKept
    this.#texts = new TextAllowance(textCharactersMax)
  }

  add(index: number, event: Event): void {
    const own = isOwn(event, this.#session)
    if (!own && !this.#concerns(event)) return
    if (event.type === 'reads') return this.#count(event)
    if (own && event.session === this.#session) this.#agent = event.agent ?? this.#agent
    if (event.type === 'outcome') return this.#conclude(event)
    const step = readStep(index, event, this.#texts)
    this.#note(event, step, own)
    this.#keep(step)
  }

  finish(): SessionStory {
    return {
      id: this.#session,
      agent: this.#agent,
      ...this.#opening,
      openedAtMs: this.#openedAtMs,
      closedAtMs: this.#closed?.atMs ?? null,
      closedWhy: this.#closed?.why ?? null,
      totals: { ...this.#totals },
      steps: [...this.#head, ...this.#tail],
      leftOut: this.#leftOut,
    }
  }

  #concerns(event: Event): boolean {
    // Of another session of the same agent that came with the same request: that is its story, not this one's.
    if (event.session !== undefined && event.type !== 'verdict' && !event.type.startsWith('request.')) return false
    if (threadsOf(event).some((thread) => this.#threads.has(thread))) return true
    return this.#openedAtMs !== null && this.#closed === null && stops(event, this.#session, this.#agent, this.#opening)
  }

  #count(event: Event): void {
    for (const read of countedReads(event)) {
      if (read.session !== this.#session) continue
      this.#totals.reads += read.count
      const step = this.#reads.get(read.key)
      if (step === undefined) continue
      step.times += read.count
      step.lastAtMs = Math.max(step.lastAtMs, read.lastAtMs)
    }
  }

  #conclude({ data, atMs }: Event): void {
    const { intent, result, rows, detail } = data
    const ended = result === 'succeeded' || result === 'failed' ? result : 'unknown'
    if (ended !== 'succeeded') this.#totals[ended] += 1
    if (typeof rows === 'number') this.#totals.rows += rows
    const step = typeof intent === 'string' ? this.#intents.get(intent) : undefined
    if (step === undefined) return
    step.result = ended
    step.rows = typeof rows === 'number' ? rows : null
    step.durationMs = Math.max(0, atMs - step.atMs)
    step.said = typeof detail === 'string' ? detail : ''
  }

  #note(event: Event, step: GrowingStep, own: boolean): void {
    const { intent, statement } = event.data
    if (event.type === 'session.opened' && own) {
      this.#opening = readOpening(event)
      this.#openedAtMs = event.atMs
    }
    if (event.type === 'session.closed' && own) this.#closed = { atMs: event.atMs, why: step.said }
    if (event.type === 'intent' && typeof intent === 'string') this.#await(this.#intents, intent, step)
    if (event.type === 'statement' && typeof statement === 'string') this.#await(this.#reads, statement, step)
    if (step.kind === 'ran') this.#totals.ran += 1
    if (step.kind === 'refused') this.#totals.refused += 1
    if (step.kind === 'asked') this.#totals.asked += 1
    if (step.kind === 'alarm') this.#totals.alarms += 1
    if (event.type === 'snapshot.sealed') this.#totals.copies += 1
  }

  #await(steps: Map<string, GrowingStep>, key: string, step: GrowingStep): void {
    steps.set(key, step)
    this.#forget.set(step, () => steps.get(key) === step && steps.delete(key))
  }

  #keep(step: GrowingStep): void {
    if (this.#head.length < this.#kept) {
      this.#head.push(step)
      return
    }
    this.#tail.push(step)
    // In blocks: one at a time would move the whole list for each step.
    if (this.#tail.length < 2 * this.#kept) return
    for (const left of this.#tail.splice(0, this.#kept)) this.#leave(left)
  }

  #leave(step: GrowingStep): void {
    const before = this.#leftOut
    this.#leftOut = {
      steps: (before?.steps ?? 0) + 1,
      fromIndex: before?.fromIndex ?? step.index,
      toIndex: step.index,
      sha256: sha256Hex(`${before?.sha256 ?? ''}${canonicalJson(storyStepJson(step))}`),
    }
    this.#forget.get(step)?.()
  }
}

function storyStepJson(step: GrowingStep): Json {
  const { text, operations, people, ...rest } = step
  return {
    ...rest,
    text: text === null ? null : { ...text },
    operations: operations.map(({ resources, ...operation }) => ({ ...operation, resources: [...resources] })),
    people: [...people],
  }
}
