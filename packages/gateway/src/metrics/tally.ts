import { errorCodes, readLoggedOperations, type Event } from '@sallyport/core'
import { z } from 'zod'

/** From an intent to its outcome, seconds. */
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const
/** Intents whose outcome is awaited; past it the one asked longest ago is not timed. */
const openMax = 10_000
const sessionsMax = 50_000
const elsewhere = 'other'

const openedShape = z.object({ upstream: z.string() })
const readsShape = z.array(z.object({ session: z.string(), count: z.number() }))

/** One family of figures in the text format of Prometheus. */
export interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly samples: readonly Sample[]
}

export interface Sample {
  /** Behind the family's name, as histograms have it. */
  readonly suffix?: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

class Counter {
  readonly #values = new Map<string, { readonly labels: Readonly<Record<string, string>>; value: number }>()

  add(labels: Readonly<Record<string, string>>, by = 1): void {
    const key = JSON.stringify(labels)
    const known = this.#values.get(key)
    if (known === undefined) this.#values.set(key, { labels, value: by })
    else known.value += by
  }

  samples(): readonly Sample[] {
    return [...this.#values.values()].map(({ labels, value }) => ({ labels, value }))
  }
}

/**
 * Counts what becomes durable on the log. Every label is one of a closed list or a name from the configuration: agents choose no label, and no
 * number of sessions, texts or made-up names makes more of them.
 */
export class Tally {
  readonly #upstreams: ReadonlySet<string>
  readonly #events = new Counter()
  readonly #verdicts = new Counter()
  readonly #outcomes = new Counter()
  readonly #reads = new Counter()
  readonly #alarms = new Counter()
  readonly #sessions = new Map<string, string>()
  readonly #open = new Map<string, { readonly atMs: number; readonly upstream: string; readonly impact: string }>()
  readonly #times = new Map<string, { readonly upstream: string; readonly counts: number[]; sum: number; count: number }>()

  constructor(upstreams: readonly string[]) {
    this.#upstreams = new Set(upstreams)
  }

  see({ type, session, data, atMs }: Event): void {
    this.#events.add({ type })
    const named = this.#sessions.get(session ?? '') ?? elsewhere
    const upstream = this.#upstreams.has(named) ? named : elsewhere
    if (type === 'session.opened') this.#learn(session, data)
    if (type === 'session.closed') this.#sessions.delete(session ?? '')
    if (type === 'statement') this.#decide('permit', '', upstream, data)
    if (type === 'decision' && data['outcome'] === 'deny') this.#decide('deny', codeOf(data['code']), upstream, data)
    if (type === 'intent') this.#begin(upstream, data, atMs)
    if (type === 'outcome') this.#end(upstream, data, atMs)
    if (type === 'reads') this.#countReads(data['reads'])
    if (type === 'alarm') this.#alarms.add({ kind: kindOf(data['kind']) })
  }

  #decide(verdict: 'permit' | 'deny', code: string, upstream: string, data: Event['data']): void {
    this.#verdicts.add({ verdict, code, impact: readLoggedOperations(data['operations']).worst ?? 'unknown', upstream })
  }

  #learn(session: string | undefined, data: Event['data']): void {
    const opened = openedShape.safeParse(data)
    if (session === undefined || !opened.success) return
    this.#sessions.set(session, opened.data.upstream)
    forgetOldest(this.#sessions, sessionsMax)
  }

  #begin(upstream: string, data: Event['data'], atMs: number): void {
    const impact = readLoggedOperations(data['operations']).worst ?? 'unknown'
    this.#decide('permit', '', upstream, data)
    if (typeof data['intent'] !== 'string') return
    this.#open.set(data['intent'], { atMs, upstream, impact })
    forgetOldest(this.#open, openMax)
  }

  #end(upstream: string, data: Event['data'], atMs: number): void {
    const intent = typeof data['intent'] === 'string' ? data['intent'] : ''
    const begun = this.#open.get(intent)
    this.#open.delete(intent)
    const result = ['succeeded', 'failed', 'unknown'].find((one) => one === data['result']) ?? 'unknown'
    this.#outcomes.add({ result, impact: begun?.impact ?? 'unknown', upstream: begun?.upstream ?? upstream })
    if (begun === undefined) return
    const seconds = Math.max(0, atMs - begun.atMs) / 1000
    const times = this.#times.get(begun.upstream) ?? { upstream: begun.upstream, counts: buckets.map(() => 0), sum: 0, count: 0 }
    this.#times.set(begun.upstream, times)
    times.sum += seconds
    times.count += 1
    for (const [place, bound] of buckets.entries()) if (seconds <= bound) times.counts[place] = (times.counts[place] ?? 0) + 1
  }

  #countReads(reads: unknown): void {
    const read = readsShape.safeParse(reads)
    if (!read.success) return
    for (const { session, count } of read.data) {
      const upstream = this.#sessions.get(session) ?? elsewhere
      this.#reads.add({ upstream: this.#upstreams.has(upstream) ? upstream : elsewhere }, count)
    }
  }

  families(): readonly Family[] {
    const counter = (name: string, help: string, of: Counter): Family => ({ name, help, type: 'counter', samples: of.samples() })
    return [
      counter('sallyport_events_total', 'Events on the log by kind, since this gate started.', this.#events),
      counter(
        'sallyport_verdicts_total',
        'What was decided about requests, by verdict, worst impact and upstream.',
        this.#verdicts,
      ),
      counter('sallyport_outcomes_total', 'What came of what ran, by result, worst impact and upstream.', this.#outcomes),
      counter('sallyport_reads_total', 'Reads let through, by upstream.', this.#reads),
      counter('sallyport_alarms_total', 'Alarms by kind.', this.#alarms),
      {
        name: 'sallyport_operation_seconds',
        help: 'From the durable intent to the outcome, by upstream.',
        type: 'histogram',
        samples: [...this.#times.values()].flatMap(({ upstream, counts, sum, count }) => [
          ...buckets.map((bound, place) => ({
            suffix: '_bucket',
            labels: { upstream, le: String(bound) },
            value: counts[place] ?? 0,
          })),
          { suffix: '_bucket', labels: { upstream, le: '+Inf' }, value: count },
          { suffix: '_sum', labels: { upstream }, value: sum },
          { suffix: '_count', labels: { upstream }, value: count },
        ]),
      },
    ]
  }
}

function forgetOldest(map: Map<string, unknown>, max: number): void {
  const oldest = map.size > max ? map.keys().next().value : undefined
  if (oldest !== undefined) map.delete(oldest)
}

function codeOf(code: unknown): string {
  return errorCodes.find((one) => one === code) ?? elsewhere
}

const alarmKinds = [
  'foreign_credential',
  'canary',
  'probing',
  'burst',
  'knocking',
  'first_time',
  'read_volume',
  'old_store',
] as const

function kindOf(kind: unknown): string {
  return alarmKinds.find((one) => one === kind) ?? elsewhere
}
