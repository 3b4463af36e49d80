import type { SqlRow } from '@sallyport/core'
import { quoteColumns, quoteIdentifier, quoteQualified } from './catalog-name.ts'
import type { Plan } from './copy-plan.ts'
import { whereClause, type OperationContext, type Preimage } from './resolve-context.ts'
import type { ForeignKeyAction } from './table-closure.ts'

/** More rows than this are copied as whole tables: their addresses would no longer fit one statement well. */
const rowsMax = 100_000
/** Steps from rows to the rows that refer to them; a chain in one table takes one a row. */
const stepsMax = 1_000

/** The rows that a statement changes, cascades included, by their addresses. */
export interface Walked {
  /** Address by table oid, each row once. */
  readonly rows: ReadonlyMap<string, readonly string[]>
  /** As the server will count them: a row set to NULL and then deleted, or set by two foreign keys, twice; what triggers add, too. */
  readonly changes: number
  /** What triggers add, at most. */
  readonly added: readonly { readonly label: string; readonly trigger: string; readonly rows: number }[]
  /** What each foreign key reaches. */
  readonly reached: readonly { readonly key: ForeignKeyAction; readonly rows: number }[]
}

type Ask = (sql: string, values: readonly (string | null)[]) => Promise<readonly SqlRow[]>

/** Why the rows can't be followed, in words. */
class TooFar extends Error {}

/**
 * From the rows that the statement's own condition names along the foreign keys that act when they go. With `lock`, each row is locked as it is
 * found, parents first: once a row is locked FOR UPDATE nobody can begin to refer to it, so what is found of its children is all there is.
 */
export async function walkRows(plan: Plan, context: OperationContext, ask: Ask, lock: boolean): Promise<Walked> {
  const { walk } = plan
  const target = plan.tables.find(({ shape }) => shape.oid === walk?.target)
  if (walk === null || !target || context.preimage === null) throw new TooFar('the rows it would change can not be told')
  const found = new Map(plan.tables.map(({ shape }) => [shape.oid, new Set<string>()]))
  const gone = new Map(plan.tables.map(({ shape }) => [shape.oid, new Set<string>()]))
  const reached = new Map<ForeignKeyAction, number>()
  const first = readAddresses(await ask(selectTarget(context.preimage, lock && target.rowLock), context.bindValues ?? []))
  let changes = first.length
  const keep = (oid: string, addresses: readonly string[]): void => {
    const set = found.get(oid)
    if (!set) throw new TooFar('a foreign key leads to a table that is not in the plan')
    for (const address of addresses) set.add(address)
    if (changes > rowsMax) throw new TooFar(`it would change more than ${rowsMax} rows`)
  }
  keep(walk.target, first)
  gone.set(walk.target, new Set(first))
  const steps = [{ oid: walk.target, addresses: first }]
  for (let at = 0; at < steps.length; at += 1) {
    const step = steps[at]
    if (!step || step.addresses.length === 0) continue
    if (at > stepsMax) throw new TooFar(`it would follow foreign keys more than ${stepsMax} times`)
    for (const key of walk.follow.filter(({ parent }) => parent === step.oid)) {
      const rows = readAddresses(
        await ask(selectChildren(plan, key, lock), [`{${step.addresses.map((one) => `"${one}"`).join(',')}}`]),
      )
      const lost = gone.get(key.table)
      const fresh = key.onDelete === 'c' ? rows.filter((address) => lost?.has(address) !== true) : rows
      changes += fresh.length
      reached.set(key, (reached.get(key) ?? 0) + fresh.length)
      keep(key.table, fresh)
      if (key.onDelete !== 'c') continue
      for (const address of fresh) lost?.add(address)
      steps.push({ oid: key.table, addresses: fresh })
    }
  }
  const updated = (oid: string): number =>
    walk.follow.length === 0 && oid === walk.target
      ? first.length
      : [...reached].reduce((sum, [key, rows]) => sum + (key.table === oid && key.onDelete !== 'c' ? rows : 0), 0)
  const added = walk.adds.map(({ table, event, label, trigger }) => ({
    label,
    trigger,
    rows: event === 'delete' ? (gone.get(table)?.size ?? 0) : updated(table),
  }))
  changes += added.reduce((sum, { rows }) => sum + rows, 0)
  return {
    added: added.filter(({ rows }) => rows > 0),
    rows: new Map([...found].map(([oid, addresses]) => [oid, [...addresses]])),
    changes,
    reached: [...reached].map(([key, rows]) => ({ key, rows })).filter(({ rows }) => rows > 0),
  }
}

/** In the order of the table, so that two who lock the same rows seldom wait for each other in a circle. */
function selectTarget({ alias, from, ...preimage }: Preimage, lock: boolean): string {
  return `SELECT ${alias}.ctid::pg_catalog.text FROM ${from}\n${whereClause({ alias, from, ...preimage })}
     ORDER BY ${alias}.ctid LIMIT ${rowsMax + 1}${lock ? ` FOR UPDATE OF ${alias}` : ''}`
}

function selectChildren(plan: Plan, key: ForeignKeyAction, lock: boolean): string {
  const name = (oid: string): string => {
    const shape = plan.tables.find((table) => table.shape.oid === oid)?.shape
    if (!shape) throw new TooFar('a foreign key leads to a table that is not in the plan')
    return quoteQualified(shape.schema, shape.name)
  }
  const rowLock = plan.tables.find(({ shape }) => shape.oid === key.table)?.rowLock === true
  const pairs = key.parentColumns.map((column, index) => {
    const operator = key.operators[index]
    const child = key.columns[index]
    if (!operator || child === undefined) throw new TooFar(`foreign key ${key.name} is not as expected`)
    return `p.${quoteIdentifier(column)} OPERATOR(${quoteIdentifier(operator.schema)}.${operator.name}) ${quoteColumns([child], 'r')}`
  })
  return `SELECT r.ctid::pg_catalog.text FROM ONLY ${name(key.parent)} p, ONLY ${name(key.table)} r
     WHERE p.ctid OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.tid[]) AND ${pairs.join(' AND ')}
     ORDER BY r.ctid LIMIT ${rowsMax + 1}${lock && rowLock ? ' FOR UPDATE OF r' : ''}`
}

function readAddresses(rows: readonly SqlRow[]): readonly string[] {
  return [...new Set(rows.map(([address]) => readAddress(address)))]
}

/** A row's address as the server writes it: it may stand in SQL. */
export function readAddress(address: string | null | undefined): string {
  if (typeof address !== 'string' || !/^\([0-9]{1,10},[0-9]{1,5}\)$/.test(address)) throw new TooFar('a row has no address')
  return address
}
