import { aheadMsMax, aheadUsesMax, findAheadFault, findYeses } from './ahead.ts'
import type { AccessRequest, AskedOperation, Question } from './access-request.ts'
import { sha256Hex } from './canonical.ts'
import { severity, worstKind, type ImpactKind } from './impact.ts'
import type { Environment } from './operation.ts'
import { parseScope } from './policy/scope.ts'

/** What would stop the same question from being asked again, if people want that: never more than this, and only ever a proposal. */
export type Relief =
  /** What it asks for a time and always gets, written down: lines of `may:`. */
  | { readonly kind: 'scope'; readonly lines: readonly string[] }
  /** Undo instead of a prompt, up to as many rows as people always said yes to: `limits.rowsWithoutPrompt`. */
  | { readonly kind: 'rows'; readonly rows: number }
  /** Exactly this, so often and for so long, approved ahead: of this request's digest. */
  | { readonly kind: 'ahead'; readonly request: string; readonly uses: number; readonly forMs: number }
  /** It stays a question each time. */
  | { readonly kind: 'none'; readonly why: string }

/** One agent asking the same of the same things, again and again. */
export interface Routine {
  /** Of everything that makes it the same. */
  readonly key: string
  readonly agent: string
  readonly owner: string
  readonly upstream: string
  readonly environment: Environment
  readonly kind: ImpactKind
  readonly actions: readonly string[]
  readonly resources: readonly string[]
  readonly requests: readonly string[]
  readonly asked: number
  readonly approved: number
  readonly waiting: number
  readonly firstAtMs: number
  readonly lastAtMs: number
  readonly relief: Relief
}

/** Asked so often, and answered yes each time, before a word is said. */
const repeatsMin = 5
const withinMs = 30 * 86_400_000
/** Rows that a limit is ever suggested for: above it people look each time. */
const rowsMax = 10_000
/** Milder than anything that destroys, opens or interrupts. */
const harmless: readonly ImpactKind[] = ['read', 'write']

/**
 * Requests by what makes them the same, most asked first. What is suggested widens nothing: people accept it with a passkey, as whatever widens.
 * @param rowsInForce how many rows go without a prompt now
 */
export function findRoutines(requests: readonly AccessRequest[], nowMs: number, rowsInForce: number): readonly Routine[] {
  const groups = new Map<string, AccessRequest[]>()
  for (const request of requests) {
    if (request.createdAtMs < nowMs - withinMs) continue
    const key = keyOf(request.question)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [request])
    else group.push(request)
  }
  return [...groups]
    .map(([key, group]) => describe(key, group, nowMs, rowsInForce))
    .toSorted((left, right) => right.asked - left.asked || right.lastAtMs - left.lastAtMs)
}

/** Agent, place, what is done and to what: the texts may differ in their values, the things may not. */
function keyOf({ subject, protocol, upstream, environment, operations, copy }: Question): string {
  return JSON.stringify({
    agent: subject.agent,
    owner: subject.owner,
    protocol,
    upstream,
    environment,
    copy,
    operations: [...new Set(operations.map(sayOperation))].toSorted(),
  })
}

function sayOperation({ action, kind, reversible, resources }: AskedOperation): string {
  const things = resources.map(({ type, name, identity }) => [type, name, identity])
  return JSON.stringify([action, kind, reversible, things])
}

function describe(key: string, group: readonly AccessRequest[], nowMs: number, rowsInForce: number): Routine {
  const sorted = group.toSorted((left, right) => left.createdAtMs - right.createdAtMs)
  const [first] = sorted
  const last = sorted.at(-1)
  if (first === undefined || last === undefined) throw new Error('a group of requests has none in it')
  const { subject, upstream, environment, operations } = last.question
  return {
    key: sha256Hex(key),
    agent: subject.agent,
    owner: subject.owner,
    upstream,
    environment,
    kind: worstKind(operations.map(({ kind }) => kind)),
    actions: [...new Set(operations.map(({ action }) => action))].toSorted(),
    resources: [
      ...new Set(operations.flatMap(({ resources }) => resources.map(({ type, name }) => `${type} ${name}`))),
    ].toSorted(),
    requests: sorted.map(({ id }) => id),
    asked: group.length,
    approved: group.filter(isApproved).length,
    waiting: group.filter((request) => isWaiting(request, nowMs)).length,
    firstAtMs: first.createdAtMs,
    lastAtMs: last.createdAtMs,
    relief: orAhead(reliefOf(sorted, nowMs, rowsInForce), sorted, nowMs),
  }
}

/** Somebody said yes to this very thing, without any "but", and nobody alone for everybody: a step that a plan let run was never looked at alone. */
function isApproved({ state, approvals }: AccessRequest): boolean {
  return (
    state === 'approved' &&
    approvals.length > 0 &&
    approvals.every(({ verdict, conditions, breakGlass }) => verdict === 'approve' && conditions === undefined && !breakGlass)
  )
}

function isWaiting({ state, expiresAtMs }: AccessRequest, nowMs: number): boolean {
  return state === 'pending' && expiresAtMs > nowMs
}

/** Where nothing else would stop it from being asked: the very same request, always answered yes, may be answered ahead. */
function orAhead(relief: Relief, group: readonly AccessRequest[], nowMs: number): Relief {
  const last = group.at(-1)
  if (relief.kind !== 'none' || last === undefined || findAheadFault(last.question) !== null) return relief
  const yeses = findYeses(group, last.question.digest, nowMs)
  if (yeses === null || yeses.length < group.length) return relief
  return { kind: 'ahead', request: last.id, uses: Math.min(aheadUsesMax, yeses.length), forMs: aheadMsMax }
}

function reliefOf(group: readonly AccessRequest[], nowMs: number, rowsInForce: number): Relief {
  const decided = group.filter((request) => !isWaiting(request, nowMs))
  if (decided.length < repeatsMin) return none(`Fewer than ${repeatsMin} of them were decided.`)
  if (!decided.every(isApproved)) return none('Not all of them got a plain yes: no answer, a no and a condition are all no.')
  const [{ question } = { question: null }] = decided
  if (question === null) return none('None was decided.')
  if (question.steps !== undefined) return none('A plan is read as a whole, each time.')
  return question.protocol === 'sallyport' ? reliefByScope(question) : reliefByRows(decided, rowsInForce)
}

/** Guards hold whatever the scope: but outside production none asks, so nothing that destroys is ever suggested. */
function reliefByScope({ operations }: Question): Relief {
  const lines = [...new Set(operations.flatMap(({ resources }) => resources.map(({ name }) => name)))]
  const isNarrow = lines.every((line) => {
    const scope = parseScope(line)
    return typeof scope !== 'string' && scope.action === null && scope.kinds.every((kind) => harmless.includes(kind))
  })
  return isNarrow && lines.length > 0
    ? { kind: 'scope', lines }
    : none('It asks for more than to read and to write: that is given for a time only.')
}

function reliefByRows(decided: readonly AccessRequest[], rowsInForce: number): Relief {
  const operations = decided.flatMap(({ question }) => question.operations)
  const worst = worstKind(operations.map(({ kind }) => kind))
  if (worst === 'unknown') return none('What the gate cannot read is asked each time.')
  if (severity(worst) < severity('destroy')) return none('What no copy puts back is decided each time.')
  if (decided.some(({ question }) => question.copy !== 'rows')) return none('What it destroys could not be put back row by row.')
  if (decided.some(({ question }) => question.guards.some((guard) => !guardsOfRows.includes(guard))))
    return none('Other guards ask here than the limit on rows.')
  const counts = decided.map(({ question }) => countRows(question))
  const rows = counts.includes(null) ? null : Math.max(...counts.map((count) => count ?? 0))
  if (rows === null) return none('Its rows were not always counted.')
  if (rows > rowsMax) return none(`More than ${rowsMax.toLocaleString('en-US')} rows are looked at each time.`)
  return rows <= rowsInForce ? none('The limit on rows has been raised past it already.') : { kind: 'rows', rows }
}

/** What asks when rows that can be put back are too many to go without a prompt. */
const guardsOfRows: readonly string[] = ['destroy-needs-person', 'destroy-needs-proven-copy', 'owner-alone-waits']

function countRows({ operations }: Question): number | null {
  let sum = 0
  for (const { kind, rows } of operations) {
    if (severity(kind) < severity('destroy')) continue
    if (rows === null) return null
    sum += rows
  }
  return sum
}

function none(why: string): Relief {
  return { kind: 'none', why }
}
