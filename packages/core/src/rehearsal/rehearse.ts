import { worstKind, type ImpactKind } from '../impact.ts'
import type { LoggedAsk } from './logged-ask.ts'
import { isSameTreatment, type Rules, treat, type Treatment } from './rules.ts'

/** What one kind of request would get now, that gets something else in force. */
export interface RehearsedChange {
  readonly agent: string
  readonly upstream: string
  readonly actions: readonly string[]
  readonly kind: ImpactKind
  readonly before: Treatment
  readonly after: Treatment
  readonly count: number
  /** Its newest place on the log. */
  readonly lastIndex: number
  readonly lastAtMs: number
}

export interface Rehearsal {
  /** Requests that both were asked about. */
  readonly judged: number
  /** In force it is treated otherwise than it was then: a grant for a time, another policy or another state of things was there. Not compared. */
  readonly unlike: number
  readonly same: number
  /** More requests run, and nobody is asked, than in force. */
  readonly milder: number
  readonly stricter: number
  /** Most frequent first. */
  readonly changes: readonly RehearsedChange[]
  /** Kinds of change beyond those listed. */
  readonly changesLeftOut: number
  readonly before: Counted
  readonly after: Counted
  readonly fromMs: number | null
  readonly toMs: number | null
}

type Counted = Readonly<Record<Treatment['outcome'], number>>

const changesMax = 100
const actionsShown = 5

/** What requests of the log would have got under other rules, beside what the rules in force give them. Pure: the same log gives the same. */
export function rehearse(asks: readonly LoggedAsk[], inForce: Rules, tried: Rules): Rehearsal {
  const spentBefore = new Spending(inForce)
  const spentAfter = new Spending(tried)
  const changes = new Map<string, RehearsedChange>()
  const before = { runs: 0, asks: 0, refused: 0 }
  const after = { runs: 0, asks: 0, refused: 0 }
  const counts = { unlike: 0, same: 0, milder: 0, stricter: 0 }
  for (const ask of asks) {
    const was = spentBefore.treat(ask)
    const is = spentAfter.treat(ask)
    if (was.outcome !== ask.happened) {
      counts.unlike += 1
      continue
    }
    before[was.outcome] += 1
    after[is.outcome] += 1
    if (isSameTreatment(was, is)) {
      counts.same += 1
      continue
    }
    const way = compareTreatments(was, is)
    if (way < 0) counts.milder += 1
    else counts.stricter += 1
    note(changes, ask, was, is)
  }
  const sorted = [...changes.values()].toSorted((left, right) => right.count - left.count || right.lastIndex - left.lastIndex)
  return {
    judged: asks.length - counts.unlike,
    ...counts,
    changes: sorted.slice(0, changesMax),
    changesLeftOut: Math.max(0, sorted.length - changesMax),
    before,
    after,
    fromMs: asks[0]?.atMs ?? null,
    toMs: asks.at(-1)?.atMs ?? null,
  }
}

function note(changes: Map<string, RehearsedChange>, ask: LoggedAsk, before: Treatment, after: Treatment): void {
  const actions = [...new Set(ask.operations.map(({ action }) => action))].toSorted()
  const key = JSON.stringify([ask.agent, ask.upstream, actions, before.outcome, sayKey(before), after.outcome, sayKey(after)])
  changes.set(key, {
    agent: ask.agent,
    upstream: ask.upstream,
    actions: actions.slice(0, actionsShown),
    kind: worstKind(ask.operations.map(({ impact }) => impact.kind)),
    before,
    after,
    count: (changes.get(key)?.count ?? 0) + 1,
    lastIndex: ask.index,
    lastAtMs: ask.atMs,
  })
}

function sayKey(treatment: Treatment): string {
  return treatment.outcome === 'asks' ? `${treatment.people} ${treatment.group ?? ''} ${treatment.delayMs}` : ''
}

const order: readonly Treatment['outcome'][] = ['runs', 'asks', 'refused']

/** Below zero: the second is milder. What asks as many people, and sooner, is milder too. */
export function compareTreatments(was: Treatment, is: Treatment): number {
  const step = order.indexOf(is.outcome) - order.indexOf(was.outcome)
  if (step !== 0) return step
  if (was.outcome === 'asks' && is.outcome === 'asks') {
    if (was.people !== is.people) return is.people - was.people
    if (was.delayMs !== is.delayMs) return is.delayMs - was.delayMs
    // Another group is neither more nor less; whoever reads it decides. It counts as milder, so that nobody overlooks it.
    return -1
  }
  if (was.outcome === 'runs' && is.outcome === 'runs') return is.copies ? 1 : -1
  return 0
}

/** Rows that went without a prompt under some rules, so that the next request finds what is left of the limit. */
class Spending {
  readonly #rules: Rules
  readonly #spent = new Map<string, { readonly atMs: number; readonly rows: number }[]>()

  constructor(rules: Rules) {
    this.#rules = rules
  }

  treat(ask: LoggedAsk): Treatment {
    const { ownerOf, windowMs } = this.#rules
    const key = JSON.stringify([ownerOf(ask.agent), ask.upstream])
    const recent = (this.#spent.get(key) ?? []).filter(({ atMs }) => atMs > ask.atMs - windowMs)
    const { spends, ...treatment } = treat(
      ask,
      this.#rules,
      recent.reduce((sum, { rows }) => sum + rows, 0),
    )
    if (spends > 0) recent.push({ atMs: ask.atMs, rows: spends })
    this.#spent.set(key, recent)
    return treatment
  }
}
