import { type AskedOperation, type Question } from './access-request.ts'
import { digestJson, keepCanonical, type Json } from './canonical.ts'
import type { Upstream } from './connector.ts'
import type { Deny, Requestable } from './decide.ts'
import { countRows } from './decide.ts'
import type { Asked } from './asked.ts'
import { worstKind } from './impact.ts'
import type { CopyPlan, ResolvedOperation } from './operation.ts'

/** Builds what people are asked: everything in it is shown and signed. */
export function makeQuestion(
  asked: Asked,
  operations: readonly ResolvedOperation[],
  digest: string,
  denial: Deny,
  policyHash: string,
): Question {
  const ask: Requestable = denial.requestable ?? { approvalsNeeded: 1, delayMs: 0 }
  return {
    digest,
    subject: asked.session.subject,
    protocol: asked.payload.protocol,
    upstream: asked.upstream.name,
    environment: asked.upstream.environment,
    text: visibleToPeople(asked.text, operations),
    bindValues: asked.shownBindValues ?? asked.payload.bindValues,
    operations: operations.map(describeAsked),
    rowsMax: boundRows(operations),
    copy: denial.byRestorePoint === true ? 'restore_point' : worstCopy(operations),
    approvalsNeeded: ask.approvalsNeeded,
    ...(ask.approversFrom === undefined ? {} : { approversFrom: ask.approversFrom }),
    delayMs: ask.delayMs,
    guards: denial.reasons.map((guard) => guard.id),
    policyHash,
  }
}

function describeAsked(operation: ResolvedOperation): AskedOperation {
  const { scope } = operation.impact
  return {
    action: operation.action,
    kind: operation.impact.kind,
    reversible: operation.impact.reversible,
    why: operation.why,
    resources: operation.resources.map(({ type, name, identity, schemaHash }) => ({
      type,
      name,
      identity: identity ?? null,
      schemaHash: schemaHash ?? null,
    })),
    rows: scope?.rows ?? null,
    bytes: scope?.bytes ?? null,
    tables: scope?.tables ?? [],
    dependants: scope?.dependants ?? [],
  }
}

/** What was measured + 10 %, at least 10 more (DESIGN §6). Null when nothing was counted. */
function boundRows(operations: readonly ResolvedOperation[]): number | null {
  const rows = countRows(operations)
  if (rows === null || !operations.some((operation) => operation.copy.kind !== 'none')) return null
  return rows + Math.max(10, Math.ceil(rows / 10))
}

const copyOrder: readonly CopyPlan['kind'][] = ['none', 'rows', 'tables', 'moved', 'impossible']

export function worstCopy(operations: readonly ResolvedOperation[]): CopyPlan['kind'] {
  return operations.reduce<CopyPlan['kind']>(
    (worst, { copy }) => (copyOrder.indexOf(copy.kind) > copyOrder.indexOf(worst) ? copy.kind : worst),
    'none',
  )
}

const requirementOrder: readonly Question['copy'][] = ['none', 'rows', 'tables', 'moved', 'restore_point', 'impossible']

/** Of several questions asked as one. */
export function worstRequirement(copies: readonly Question['copy'][]): Question['copy'] {
  return copies.reduce((worst, copy) => (requirementOrder.indexOf(copy) > requirementOrder.indexOf(worst) ? copy : worst), 'none')
}

/** What a grant's targets are compared by: a drop-in replacement of a table has another oid, a changed one another schema hash. */
export function targetsOf(
  operations: readonly {
    readonly resources: readonly { type: string; name: string; identity?: string | null; schemaHash?: string | null }[]
  }[],
): readonly string[] {
  const lines = operations.flatMap(({ resources }) =>
    resources.map(({ type, name, identity, schemaHash }) => JSON.stringify([type, name, identity ?? null, schemaHash ?? null])),
  )
  return [...new Set(lines)].sort()
}

/** One line for a notice, a log line, a list: "postgres.drop_table public.orders (destroy): 48,211 rows in 3 tables". */
export function summarize(operations: readonly ResolvedOperation[], upstream: Upstream): string {
  const parts = operations.slice(0, 5).map((operation) => {
    const names = operation.resources.slice(0, 5).map(({ name }) => name)
    const { scope } = operation.impact
    const rows = scope?.rows === undefined ? '' : `, ${scope.exact ? '' : 'about '}${scope.rows.toLocaleString('en-US')} rows`
    const tables = scope?.tables && scope.tables.length > 1 ? ` in ${scope.tables.length} tables` : ''
    return `${operation.action} ${names.join(', ')} (${operation.impact.kind}${rows}${tables})`
  })
  const more = operations.length > 5 ? ` and ${operations.length - 5} more` : ''
  return `${parts.join('; ')}${more} on ${upstream.name} (${upstream.environment})`
}

/** A person approves a password change without reading the password; the digest still binds the exact bytes. */
function visibleToPeople(text: string, operations: readonly ResolvedOperation[]): string {
  return holdsSecret(operations) ? '(withheld: it may hold a secret; the digest binds its exact bytes)' : text.toWellFormed()
}

export function holdsSecret(operations: readonly ResolvedOperation[]): boolean {
  return operations.some(({ context }) => context['secretInText'] === true)
}

const onLog = new WeakMap<readonly ResolvedOperation[], Json>()

/** Operations as the log keeps them: bounded, no text of the agent's. */
export function operationsJson(operations: readonly ResolvedOperation[]): Json {
  const known = onLog.get(operations)
  if (known !== undefined) return known
  const json = keepCanonical(boundOperations(operations))
  onLog.set(operations, json)
  return json
}

function boundOperations(operations: readonly ResolvedOperation[]): readonly Json[] {
  const entries: Json[] = []
  let left = operationsOnLogBytesMax
  for (const operation of operations) {
    const entry = operationJson(operation)
    left -= Buffer.byteLength(JSON.stringify(entry))
    if (left < 0) {
      const rest = operations.slice(entries.length).map(operationJson)
      return [...entries, { more: rest.length, sha256: digestJson(rest) }]
    }
    entries.push(entry)
  }
  return entries
}

/** Together with the text, an event must fit an entry of the log (64 KiB). */
const operationsOnLogBytesMax = 12_288

function operationJson(operation: ResolvedOperation): Json {
  return {
    action: operation.action,
    kind: operation.impact.kind,
    reversible: operation.impact.reversible,
    why: operation.why.slice(0, 500).toWellFormed(),
    copy: operation.copy.kind,
    rows: operation.impact.scope?.rows ?? null,
    resources: operation.resources.slice(0, 50).map(({ type, name, identity, schemaHash }) => ({
      type,
      name: name.slice(0, 300).toWellFormed(),
      identity: identity ?? null,
      schemaHash: schemaHash ?? null,
    })),
  }
}

export function isPureRead(operations: readonly ResolvedOperation[]): boolean {
  return (
    operations.length > 0 &&
    worstKind(operations.map(({ impact }) => impact.kind)) === 'read' &&
    operations.every(({ impact }) => impact.reversible)
  )
}
