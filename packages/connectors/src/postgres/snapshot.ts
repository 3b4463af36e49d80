import {
  SallyportError,
  type ResolvedOperation,
  type Seal,
  type SnapshotContent,
  type SqlAccess,
  type SqlChannel,
  type Upstream,
} from '@sallyport/core'
import { compareOids, quoteQualified } from './catalog-name.ts'
import { inProtect, sayError, sqlAccess } from './catalog-query.ts'
import { manifestJson, type CopyManifest } from './copy-manifest.ts'
import { digestPlan, tableLocks, unitePlans, type Plan, type TableLock, type Walk } from './copy-plan.ts'
import { moveOutOfReach, planQuarantine } from './quarantine.ts'
import { chooseRoom, planDatabase } from './quarantine-database.ts'
import { isPreimageReadable } from './resolve-scope.ts'
import { lookUp, planLooked, readRecordedPlan, type Looked, type RecordedPlan } from './resolve-losing.ts'
import { readOwnChanges } from './resolve-name.ts'
import { walkRows, type Walked } from './row-walk.ts'
import { copyRows, copyWholeTable, type Copy } from './snapshot-table.ts'

/** How long the agent's backend waits for others to leave the tables. */
const lockTimeoutMs = 2_000
/** One statement of a copy: past this the lock has been held too long for a live system (DESIGN §7). */
const copyTimeoutMs = 300_000

/**
 * The copy before the destruction (DESIGN §7): lock, check, copy, read back out of the vault, restore to scratch, compare. In this order:
 * a copy older than the lock loses rows. Throws `target_changed` or `copy_failed`; then nothing may run.
 */
export async function snapshot(
  operations: readonly ResolvedOperation[],
  upstream: Upstream,
  seal: Seal,
): Promise<SnapshotContent> {
  const access = sqlAccess(upstream)
  try {
    return await makeSnapshot(operations, { access, keptMs: upstream.quarantineMs ?? null }, seal)
  } catch (error) {
    if (error instanceof SallyportError) throw error
    throw failed(sayError(error), error)
  }
}

function failed(why: string, cause?: unknown): SallyportError {
  return new SallyportError(
    'copy_failed',
    `No proven copy could be made: ${why}.`,
    'The statement did not run; no copy counts.',
    'Mend what the message names, then send the statement again.',
    { cause },
  )
}

function changed(what: string): SallyportError {
  return new SallyportError(
    'target_changed',
    `${what} since the request was looked at.`,
    'The statement did not run; nothing was copied.',
    'Send the statement again: it will be looked at anew.',
  )
}

interface Way {
  readonly access: SqlAccess
  /** How long what is dropped is kept out of reach first. */
  readonly keptMs: number | null
}

async function makeSnapshot(operations: readonly ResolvedOperation[], way: Way, seal: Seal): Promise<SnapshotContent> {
  const { access } = way
  const [only] = operations
  if (operations.length === 1 && only?.action === 'postgres.drop_database') return prepareDatabase(access, only, way.keptMs)
  const { session, protect } = access
  const losing = operations.filter(({ copy }) => copy.kind !== 'none')
  const recorded = losing.map(readRecordedPlan)
  if (losing.length === 0 || losing.some(({ copy }) => copy.kind === 'impossible'))
    throw failed('no plan covers all of the request')
  await refuseOwnChanges(access, recorded)
  const settings = await readTimeouts(access)
  await lock(access, recorded)
  const { content, united } = await inProtect(
    protect,
    'scratch',
    { lockTimeoutMs, statementTimeoutMs: copyTimeoutMs },
    async () => {
      const looked = (await lookUp(session, operations)).filter((_, index) => operations[index]?.copy.kind !== 'none')
      const plans: Plan[] = []
      for (const [index, item] of looked.entries()) {
        const planned = await planLooked(session, protect, item, operations, recorded[index]?.byRows === true)
        if (!planned.ok) throw changed(planned.reason)
        const { plan } = planQuarantine(planned.plan, item.verb, way.keptMs)
        if (digestPlan(plan) !== recorded[index]?.digest)
          throw changed('What the statement names, or what depends on it, has changed')
        plans.push(plan)
      }
      const united = unitePlans(plans)
      const content = await copyPlan(access, seal, united, looked)
      // A copy takes its time. Tables are locked meanwhile, names are not: another one could have come first in the search path.
      const later = (await lookUp(session, operations)).filter((_, index) => operations[index]?.copy.kind !== 'none')
      if (namesOf(later) !== namesOf(looked)) throw changed('What the statement names has changed')
      return { content, united }
    },
  )
  const moved = await moveOutOfReach(access, united)
  await session.query(
    `SELECT pg_catalog.set_config('lock_timeout', $1, true), pg_catalog.set_config('statement_timeout', $2, true)`,
    settings,
  )
  return {
    ...content,
    manifest: manifestJson({ ...content.manifest, quarantine: moved?.place ?? null }),
    quarantine: moved?.quarantine ?? null,
  }
}

/** It is moved once it is known durably where to (`moveAway`): nothing of it is copied. */
async function prepareDatabase(
  { protect }: SqlAccess,
  operation: ResolvedOperation,
  keptMs: number | null,
): Promise<SnapshotContent> {
  if (keptMs === null) throw failed('a database is kept only by quarantine, and none is configured')
  const { plan, quarantine } = await inProtect(
    protect,
    'read',
    { lockTimeoutMs, statementTimeoutMs: copyTimeoutMs },
    async () => {
      const planned = await planDatabase(protect, operation)
      if (!planned.ok) throw changed(planned.reason)
      if (planned.plan.oid !== operation.resources[0]?.identity) throw changed('Another database has its name')
      return { plan: planned.plan, quarantine: await chooseRoom(protect, planned.plan, keptMs) }
    },
  )
  const { oid, name, bytes } = plan
  const manifest: CopyManifest = {
    version: 1,
    connector: 'postgres',
    tables: [],
    views: [],
    foreignKeys: [],
    namespaces: [],
    quarantine: null,
    database: { id: quarantine.id, oid, name },
  }
  return { kind: 'tables', rows: 0, bytes, checksums: {}, manifest: manifestJson(manifest), quarantine }
}

function namesOf(looked: readonly Looked[]): string {
  return JSON.stringify(
    looked.map(({ relations, namespaces }) => [relations.map((relation) => relation?.oid ?? null), namespaces]),
  )
}

/** The protect connection can't see what this session has not committed: a copy without it would be a copy in part. */
async function refuseOwnChanges({ session }: SqlAccess, recorded: readonly (RecordedPlan | null)[]): Promise<void> {
  const whole = recorded.flatMap((plan) => plan?.locks ?? []).filter(({ mode }) => mode === 'whole')
  const touched = await readOwnChanges(
    session,
    whole.map(({ oid }) => oid),
  )
  const table = whole.find(({ oid }) => touched.includes(oid))
  if (table)
    throw failed(`this open transaction has already changed or locked ${table.schema}.${table.name}; commit or roll back first`)
}

async function readTimeouts({ session }: SqlAccess): Promise<readonly (string | null)[]> {
  const rows = await session.query(
    `SELECT pg_catalog.current_setting('lock_timeout'), pg_catalog.current_setting('statement_timeout')`,
  )
  return rows[0] ?? ['0', '0']
}

/**
 * In oid order, so that two gates never wait for each other. EXCLUSIVE lets the protect connection read and stops all writes and all changes of
 * shape. Where rows are copied, the plan says whether their own locks are enough (then ROW EXCLUSIVE keeps the table's shape, its triggers and
 * its foreign keys as they are) or writers must stay out. The statement's own, stronger lock comes on top in the same transaction.
 */
async function lock(access: SqlAccess, recorded: readonly (RecordedPlan | null)[]): Promise<void> {
  const locks = new Map<string, { readonly table: string; readonly mode: TableLock }>()
  for (const { oid, schema, name, mode, lock: wanted } of recorded.flatMap((plan) => plan?.locks ?? [])) {
    const known = locks.get(oid)?.mode ?? wanted
    const table = `${mode === 'source' ? '' : 'ONLY '}${quoteQualified(schema, name)}`
    locks.set(oid, { table, mode: tableLocks.indexOf(known) > tableLocks.indexOf(wanted) ? known : wanted })
  }
  const statements = [...locks.entries()]
    .sort(([left], [right]) => compareOids(left, right))
    .map(([, { table, mode }]) => `LOCK TABLE ${table} IN ${mode} MODE`)
  try {
    for (const statement of [
      `SET LOCAL lock_timeout = ${lockTimeoutMs}`,
      `SET LOCAL statement_timeout = ${copyTimeoutMs}`,
      ...statements,
    ])
      await access.hold(statement)
  } catch (error) {
    throw failed(`the tables could not be locked within ${lockTimeoutMs} ms (${sayError(error)})`, error)
  }
}

async function copyPlan(
  { session, protect }: SqlAccess,
  seal: Seal,
  plan: Plan,
  looked: readonly Looked[],
): Promise<Omit<SnapshotContent, 'manifest'> & { readonly manifest: CopyManifest }> {
  const walked = plan.walk === null ? null : await lockRows(session, plan, plan.walk, looked)
  const copies: Copy[] = []
  for (const table of plan.tables) {
    const addresses = walked?.rows.get(table.shape.oid) ?? []
    if (table.mode === 'whole') copies.push(await copyWholeTable(session, protect, seal, table))
    // A table that no row is lost from needs no part in the vault, but for the target: its copy says that nothing was there.
    else if (addresses.length > 0 || table.shape.oid === plan.walk?.target)
      copies.push(await copyRows(session, protect, seal, table, addresses))
  }
  const tables = copies.map(({ table }) => table)
  return {
    kind: walked === null ? 'tables' : 'rows',
    // Of rows, as many as the server will count: no more may change than these.
    rows: walked?.changes ?? tables.reduce((sum, { rows }) => sum + rows, 0),
    bytes: copies.reduce((sum, { bytes }) => sum + bytes, 0),
    checksums: Object.fromEntries(tables.map(({ shape, sha256 }) => [shape.label, sha256])),
    manifest: {
      version: 1,
      connector: 'postgres',
      tables,
      views: [...plan.views],
      foreignKeys: [...plan.foreignKeys],
      namespaces: [...plan.namespaces],
      quarantine: null,
      database: null,
    },
  }
}

/** Finds and locks what the statement will change, as its own session sees it. */
async function lockRows(session: SqlChannel, plan: Plan, walk: Walk, looked: readonly Looked[]): Promise<Walked> {
  const context = looked.find(({ relations }) => relations[0]?.oid === walk.target)?.context
  if (!context?.preimage || !(await isPreimageReadable(session, context)))
    throw failed('the rows it would change can not be told')
  return walkRows(plan, context, (sql, values) => session.query(sql, values), true)
}
