import {
  SallyportError,
  type Progress,
  type Restored,
  type SnapshotReader,
  type SqlChannel,
  type Upstream,
} from '@sallyport/core'
import { attempt, inProtect, sayError, sqlAccess } from './catalog-query.ts'
import { readTableShapes, type TableShape } from './catalog-shape.ts'
import { manifestSchema, type CopiedTable, type CopyManifest } from './copy-manifest.ts'
import { addConstraint, comment, tableName } from './ddl-table.ts'
import { findCurrent, refused, restoreNamespaces, restoreViews } from './restore-object.ts'
import { finishShape, prepareShape, type Gap, type Phase } from './restore-shape.ts'
import { takeBack } from './quarantine.ts'
import { takeBackDatabase } from './quarantine-database.ts'
import { checkRows, fillGap, loadRows, putBackRows, verifyRows, type Loaded } from './restore-rows.ts'

const bounds = { lockTimeoutMs: 5_000, statementTimeoutMs: 600_000 } as const

/**
 * Undo in place, in one transaction on the protect connection: all of it or nothing. Refuses when something newer would be overwritten.
 * `verified` means that the rows of the copy are all in the tables again, by the same checksum as when they were sealed.
 */
export async function restore(
  snapshot: SnapshotReader,
  upstream: Upstream,
  report: (progress: Progress) => void,
): Promise<Restored> {
  const { protect } = sqlAccess(upstream)
  const parsed = manifestSchema.safeParse(snapshot.manifest)
  if (!parsed.success) throw refused('the manifest of this copy can not be read')
  const manifest = parsed.data
  for (const { shape, sha256 } of manifest.tables) {
    if (snapshot.checksums[shape.label] !== sha256) throw refused(`the checksum of ${shape.label} is not the sealed one`)
  }
  try {
    if (manifest.database !== null) {
      await takeBackDatabase(protect, manifest.database)
      const note = 'it was still in quarantine, and has its name, its owner and its connections again'
      return { rows: 0, tables: [manifest.database.name], verified: true, note }
    }
    return await inProtect(protect, 'commit', bounds, () => restoreAll(protect, manifest, snapshot, report))
  } catch (error) {
    if (error instanceof SallyportError) throw error
    throw refused(sayError(error), error)
  }
}

async function restoreAll(
  protect: SqlChannel,
  manifest: CopyManifest,
  snapshot: SnapshotReader,
  report: (progress: Progress) => void,
): Promise<Restored> {
  const steps = manifest.tables.length * 2 + 2
  let done = 0
  const step = (text: string): void => report({ step: text, done: (done += 1), total: steps })
  const notes: string[] = []
  const { quarantine } = manifest
  const back = quarantine !== null && (await takeBack(protect, quarantine, manifest.namespaces))
  if (back) notes.push('it was still in quarantine, and was moved back as it was')
  await restoreNamespaces(protect, manifest.namespaces)
  const loaded: Loaded[] = []
  const gaps = new Map<string, Gap>()
  for (const table of manifest.tables) {
    const current = await findCurrent(protect, table.shape)
    loaded.push(await loadRows(protect, table, current, snapshot))
    step(`read ${table.shape.label} out of the vault`)
  }
  const ordered = orderByKeys(loaded)
  for (const item of loaded) {
    gaps.set(item.table.shape.oid, await prepareShape(protect, item.table, item.current, findCircles(item, ordered)))
  }
  for (const item of loaded) notes.push(...(await checkRows(protect, item)))
  let rows = 0
  for (const item of ordered) {
    const gap = gaps.get(item.table.shape.oid)
    rows += await putBackRows(protect, item)
    if (gap) rows += await fillGap(protect, item, gap)
    step(`put back rows of ${item.table.shape.label}`)
  }
  // A table with deferred checks still to be made can't be altered.
  await protect.query('SET CONSTRAINTS ALL IMMEDIATE')
  notes.push(...(await restoreShapes(protect, manifest, loaded, gaps)))
  step('put back keys, indexes, views and grants')
  const different: string[] = []
  for (const item of loaded) if (!(await verifyRows(protect, item))) different.push(item.table.shape.label)
  step('compared checksums')
  if (different.length > 0) notes.push(`not all rows of ${different.join(', ')} equal the copy`)
  return {
    rows: back ? manifest.tables.reduce((sum, table) => sum + table.rows, 0) : rows,
    tables: manifest.tables.map(({ shape }) => shape.label),
    verified: different.length === 0,
    note: notes.join('; '),
  }
}

/** Keys first on all tables, then what refers to them, then views, then what may look at views. */
async function restoreShapes(
  protect: SqlChannel,
  manifest: CopyManifest,
  loaded: readonly Loaded[],
  gaps: ReadonlyMap<string, Gap>,
): Promise<readonly string[]> {
  const notes: string[] = []
  const each = async (phase: Phase): Promise<void> => {
    for (const { table } of loaded) {
      const gap = gaps.get(table.shape.oid)
      if (gap) await finishShape(protect, table, gap, phase)
    }
  }
  await each('keys')
  await each('references')
  notes.push(...(await restoreForeignKeys(protect, manifest)))
  notes.push(...(await restoreViews(protect, manifest.views)))
  await each('rest')
  return notes
}

/** Foreign keys of tables that stayed: rows added to them meanwhile may refer to nothing; then the key comes back without that promise. */
async function restoreForeignKeys(protect: SqlChannel, manifest: CopyManifest): Promise<readonly string[]> {
  const notes: string[] = []
  for (const key of manifest.foreignKeys) {
    const [owner]: readonly TableShape[] = await readTableShapes(protect, [key.tableOid])
    if (!owner) {
      notes.push(`foreign key ${key.name} was not put back: ${key.schema}.${key.table} is gone`)
      continue
    }
    if (owner.constraints.some(({ name }) => name === key.name)) continue
    const valid = await attempt(protect, () => protect.query(addConstraint(owner, key)))
    if (!valid.ok) {
      await protect.query(addConstraint(owner, { ...key, definition: `${key.definition.replace(/ NOT VALID$/, '')} NOT VALID` }))
      notes.push(`foreign key ${key.name} of ${owner.label} is back as NOT VALID: rows added since refer to nothing`)
    }
    for (const statement of comment(`CONSTRAINT "${key.name.replaceAll('"', '""')}" ON ${tableName(owner)}`, key.comment)) {
      await protect.query(statement)
    }
  }
  return notes
}

/** Foreign keys that point at a table filled later: they are set aside, and put back when all rows are in. */
function findCircles({ table, current }: Loaded, ordered: readonly Loaded[]): readonly string[] {
  const place = (oid: string): number => ordered.findIndex((item) => item.table.shape.oid === oid)
  return (current?.constraints ?? [])
    .filter(({ references }) => references !== null && place(references) > place(table.shape.oid))
    .map(({ name }) => name)
}

/** Tables that others refer to first. In a circle any order is taken: prepareShape has set its foreign keys aside. */
function orderByKeys(loaded: readonly Loaded[]): readonly Loaded[] {
  const out: Loaded[] = []
  const visiting = new Set<CopiedTable>()
  const visit = (item: Loaded): void => {
    if (visiting.has(item.table)) return
    visiting.add(item.table)
    for (const { references } of item.table.shape.constraints) {
      const parent = loaded.find(({ table }) => table.shape.oid === references)
      if (parent) visit(parent)
    }
    out.push(item)
  }
  for (const item of loaded) visit(item)
  return out
}
