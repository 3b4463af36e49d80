import { impactKinds, type ImpactKind } from '../impact.ts'
import type { CopyPlan, ResolvedOperation } from '../operation.ts'
import { type Rules, treat, type Treatment } from './rules.ts'

/** One line of `expect:` in sallyport.yaml: what somebody is sure of, whatever else changes. */
export interface Expectation {
  /** As it was written. */
  readonly text: string
  readonly agent: string
  readonly outcome: Treatment['outcome']
  readonly kind: ImpactKind
  /** Null: some operation of this kind. */
  readonly action: string | null
  readonly upstream: string
  /** By itself: a destroy never is. */
  readonly reversible: boolean
  readonly copy: 'none' | 'rows' | 'tables' | 'impossible'
  readonly rows: number
}

export interface TriedExpectation {
  readonly text: string
  readonly holds: boolean
  readonly got: Treatment
}

const form =
  /^(\S{1,63}) (runs|asks|is refused) (irreversible )?([a-z]{1,16})(?: as (\S{1,128}))?( without a copy)?(?: of (\d{1,9}) rows?)? on (\S{1,63})$/
const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/
const actionPattern = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+$/
const textMax = 400

/** How an expectation is written, for whoever wrote something else. */
export const expectationForm =
  'write it like "coder runs read on orders-db", "coder asks destroy of 5000 rows on orders-db" or "reporter is refused escalate as postgres.alter_role on orders-db"'

/** Parses one line. Returns a sentence when it is none. */
export function parseExpectation(text: string): Expectation | string {
  const trimmed = text.trim().replaceAll(/\s+/g, ' ')
  const [, agent, outcome, irreversible, word, action, copyless, rows, upstream] =
    trimmed.length > textMax ? [] : (form.exec(trimmed) ?? [])
  const kind = impactKinds.find((name) => name === word)
  if (agent === undefined || upstream === undefined || kind === undefined) return expectationForm
  if (!namePattern.test(agent) || !namePattern.test(upstream)) return expectationForm
  if (action !== undefined && !actionPattern.test(action)) return `"${action}" is no action such as postgres.drop_table`
  if (copyless !== undefined && rows !== undefined) return 'rows are counted in the copy of them: without a copy there are none'
  return {
    text: trimmed,
    agent,
    upstream,
    kind,
    action: action ?? null,
    outcome: outcome === 'is refused' ? 'refused' : outcome === 'runs' ? 'runs' : 'asks',
    reversible: irreversible === undefined && kind !== 'destroy',
    copy: copyOf(kind, copyless !== undefined, rows),
    rows: Number(rows ?? 0),
  }
}

function copyOf(kind: ImpactKind, isCopyless: boolean, rows: string | undefined): Expectation['copy'] {
  if (isCopyless) return 'impossible'
  if (rows !== undefined) return 'rows'
  return kind === 'destroy' ? 'tables' : 'none'
}

/** Whether these rules give what is expected. */
export function tryExpectation(expectation: Expectation, rules: Rules): TriedExpectation {
  const { agent, upstream, text, outcome } = expectation
  const got = treat({ agent, upstream, operations: [operationOf(expectation)] }, rules)
  return { text, holds: got.outcome === outcome, got }
}

function operationOf({ kind, action, upstream, reversible, copy, rows }: Expectation): ResolvedOperation {
  return {
    action: action ?? `expected.${kind}`,
    resources: [{ type: 'thing', name: upstream }],
    impact: { kind, reversible, ...(copy === 'rows' ? { scope: { rows, exact: true } } : {}) },
    why: 'an expectation',
    context: {},
    copy: planOf(copy, rows),
  }
}

function planOf(copy: Expectation['copy'], rows: number): CopyPlan {
  switch (copy) {
    case 'none':
      return { kind: 'none' }
    case 'rows':
      return { kind: 'rows', rowsEstimate: rows }
    case 'tables':
      return { kind: 'tables', tables: ['expected'], bytesEstimate: 0 }
    case 'impossible':
      return { kind: 'impossible', reason: 'so it is expected', remedy: 'none' }
  }
}
