import type { SqlChannel } from '@sallyport/core'
import { quoteIdentifier } from './catalog-name.ts'
import { readTableShapes, type ColumnShape, type SequenceShape, type TableShape } from './catalog-shape.ts'
import type { CopiedTable } from './copy-manifest.ts'
import {
  addColumn,
  addConstraint,
  comment,
  createPolicy,
  createSequence,
  createTable,
  decorateColumn,
  enableRule,
  enableTrigger,
  finishColumn,
  ownSequence,
  tableName,
} from './ddl-table.ts'
import { restoreGrants } from './ddl-grant.ts'
import { refused } from './restore-object.ts'

/** What of a table's shape was missing. */
export interface Gap {
  /** The table itself was gone. */
  readonly created: boolean
  /** Columns that were gone, or came back from another type: empty until their values are put back. */
  readonly columns: readonly ColumnShape[]
  /** The shape after preparing. */
  readonly current: TableShape
}

async function runAll(protect: SqlChannel, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await protect.query(statement)
}

async function reread(protect: SqlChannel, shape: TableShape): Promise<TableShape> {
  const oid = await protect.query(`SELECT $1::regclass::oid::text`, [tableName(shape)])
  const [current] = await readTableShapes(protect, [oid[0]?.[0] ?? ''])
  if (!current) throw refused(`${shape.label} went away meanwhile`)
  return current
}

/** Makes the table, or the columns that are gone, ready to take rows; keys and all that looks at rows comes later. */
export async function prepareShape(
  protect: SqlChannel,
  table: CopiedTable,
  present: TableShape | null,
  setAside: readonly string[],
): Promise<Gap> {
  const { shape } = table
  if (present === null) {
    if (table.mode === 'rows') throw refused(`${shape.label} is gone, and the copy holds only some of its rows`)
    const serials = shape.sequences.filter(({ ownership }) => ownership === 'a')
    await runAll(protect, serials.map(createSequence))
    await protect.query(createTable(shape))
    await runAll(protect, [...serials.map((sequence) => ownSequence(shape, sequence)), ownTable(shape)])
    return { created: true, columns: [], current: await reread(protect, shape) }
  }
  await protect.query(`LOCK TABLE ONLY ${tableName(shape)} IN ACCESS EXCLUSIVE MODE`)
  const current = await reread(protect, shape)
  const name = tableName(shape)
  for (const constraint of setAside)
    await protect.query(`ALTER TABLE ONLY ${name} DROP CONSTRAINT ${quoteIdentifier(constraint)}`)
  if (current.triggers.length > 0) await protect.query(`ALTER TABLE ONLY ${name} DISABLE TRIGGER USER`)
  for (const rule of current.rules) await protect.query(`ALTER TABLE ONLY ${name} DISABLE RULE ${quoteIdentifier(rule.name)}`)
  const columns = [...(await retypeColumns(protect, table, current)), ...(await addColumns(protect, shape, current))]
  return { created: false, columns, current: setAside.length === 0 ? current : withoutConstraints(current, setAside) }
}

function withoutConstraints(current: TableShape, names: readonly string[]): TableShape {
  return { ...current, constraints: current.constraints.filter(({ name }) => !names.includes(name)) }
}

function ownTable(shape: TableShape): string {
  return `ALTER TABLE ${tableName(shape)} OWNER TO ${quoteIdentifier(shape.owner)}`
}

async function addColumns(protect: SqlChannel, shape: TableShape, current: TableShape): Promise<readonly ColumnShape[]> {
  const missing = shape.columns.filter(({ name }) => !current.columns.some((column) => column.name === name))
  const plain = missing.filter(({ generated }) => generated === '')
  await runAll(
    protect,
    plain.map((column) => addColumn(shape, column)),
  )
  return plain
}

/** A column whose type was changed: its present values were computed from the old ones, as long as nobody wrote since. */
async function retypeColumns(protect: SqlChannel, table: CopiedTable, current: TableShape): Promise<readonly ColumnShape[]> {
  const { shape, writer } = table
  const changed = shape.columns.filter((column) => {
    const now = current.columns.find(({ name }) => name === column.name)
    return now !== undefined && (now.type !== column.type || now.collation !== column.collation) && column.generated === ''
  })
  if (changed.length === 0) return []
  const rows = await protect.query(
    `SELECT count(*)::text FROM ONLY ${tableName(shape)} r WHERE r.xmin::text IS DISTINCT FROM $1`,
    [writer],
  )
  if (rows[0]?.[0] !== '0') throw refused(`rows of ${shape.label} were written since its columns changed their type`)
  for (const column of changed) {
    const alter = `ALTER TABLE ONLY ${tableName(shape)} ALTER COLUMN ${quoteIdentifier(column.name)}`
    const collate = column.collation === null ? '' : ` COLLATE ${column.collation}`
    await runAll(protect, [
      `${alter} DROP DEFAULT`,
      `${alter} DROP NOT NULL`,
      `${alter} TYPE ${column.type}${collate} USING NULL`,
    ])
  }
  return changed
}

export type Phase = 'keys' | 'references' | 'rest'

/** Brings back what the sealed shape has and the present one lacks. Idempotent by name: what is there is left alone. */
export async function finishShape(protect: SqlChannel, table: CopiedTable, gap: Gap, phase: Phase): Promise<void> {
  switch (phase) {
    case 'keys':
      return finishKeys(protect, table.shape, gap)
    case 'references':
      return addConstraints(protect, table.shape, gap, ['f'])
    case 'rest':
      return finishRest(protect, table, gap)
  }
}

async function finishKeys(protect: SqlChannel, shape: TableShape, gap: Gap): Promise<void> {
  const sequences = missingSequences(shape, gap)
  for (const sequence of sequences.filter(({ ownership }) => ownership === 'a')) {
    await runAll(protect, [
      createSequence(sequence),
      `ALTER SEQUENCE ${tableName(sequence)} OWNER TO ${quoteIdentifier(shape.owner)}`,
      ownSequence(shape, sequence),
    ])
  }
  for (const column of gap.columns) await runAll(protect, finishColumn(shape, column))
  // A generated column that went with the one it is computed from.
  const computed = gap.created
    ? []
    : shape.columns.filter((column) => column.generated !== '' && !hasColumn(gap.current, column.name))
  for (const column of computed) await runAll(protect, [addColumn(shape, column), ...finishColumn(shape, column)])
  await addConstraints(protect, shape, gap, ['p', 'u', 'x', 'c'])
  const indexes = shape.indexes.filter(
    (index) => !index.backsConstraint && !gap.current.indexes.some(({ name }) => name === index.name),
  )
  for (const index of indexes) await protect.query(index.definition)
  for (const index of shape.indexes) {
    if (gap.current.indexes.some(({ name }) => name === index.name)) continue
    const name = quoteIdentifier(index.name)
    await runAll(protect, comment(`INDEX ${quoteIdentifier(shape.schema)}.${name}`, index.comment))
    if (index.clustered) await protect.query(`ALTER TABLE ${tableName(shape)} CLUSTER ON ${name}`)
    if (index.replicaIdentity) await protect.query(`ALTER TABLE ${tableName(shape)} REPLICA IDENTITY USING INDEX ${name}`)
  }
}

function hasColumn(shape: TableShape, name: string): boolean {
  return shape.columns.some((column) => column.name === name)
}

/** Serial sequences that went with their column; the sequence of an identity comes with the identity. */
function missingSequences(shape: TableShape, gap: Gap): readonly SequenceShape[] {
  return shape.sequences.filter(
    ({ schema, name }) => !gap.current.sequences.some((one) => one.schema === schema && one.name === name),
  )
}

async function addConstraints(protect: SqlChannel, shape: TableShape, gap: Gap, types: readonly string[]): Promise<void> {
  const missing = shape.constraints.filter(
    ({ name, type }) => types.includes(type) && !gap.current.constraints.some((constraint) => constraint.name === name),
  )
  for (const constraint of missing) {
    await protect.query(addConstraint(shape, constraint))
    await runAll(protect, comment(`CONSTRAINT ${quoteIdentifier(constraint.name)} ON ${tableName(shape)}`, constraint.comment))
  }
}

async function finishRest(protect: SqlChannel, { shape, sequenceValues }: CopiedTable, gap: Gap): Promise<void> {
  const absent = <Item extends { readonly name: string }>(
    items: readonly Item[],
    present: readonly { readonly name: string }[],
  ): readonly Item[] => items.filter(({ name }) => !present.some((item) => item.name === name))
  for (const { definition } of absent(shape.statistics, gap.current.statistics)) await protect.query(definition)
  for (const rule of absent(shape.rules, gap.current.rules)) {
    await runAll(protect, [rule.definition, enableRule(shape, rule.name, rule.enabled)])
    await runAll(protect, comment(`RULE ${quoteIdentifier(rule.name)} ON ${tableName(shape)}`, rule.comment))
  }
  for (const trigger of absent(shape.triggers, gap.current.triggers)) {
    await runAll(protect, [trigger.definition, enableTrigger(shape, trigger.name, trigger.enabled)])
    await runAll(protect, comment(`TRIGGER ${quoteIdentifier(trigger.name)} ON ${tableName(shape)}`, trigger.comment))
  }
  for (const policy of absent(shape.policies, gap.current.policies)) await runAll(protect, createPolicy(shape, policy))
  for (const { name } of absent(shape.publications, gap.current.publications)) {
    await protect.query(`ALTER PUBLICATION ${quoteIdentifier(name)} ADD TABLE ONLY ${tableName(shape)}`)
  }
  const renewed = gap.created
    ? shape.columns
    : shape.columns.filter(({ name }) => gap.columns.some((column) => column.name === name))
  for (const column of renewed) await runAll(protect, decorateColumn(shape, column))
  await setSequences(protect, shape, sequenceValues, gap)
  if (gap.created) await decorateTable(protect, shape, gap.current.oid)
  else await wake(protect, gap.current)
}

/** Triggers and rules that slept during the undo. */
async function wake(protect: SqlChannel, current: TableShape): Promise<void> {
  for (const { name, enabled } of current.triggers)
    if (enabled !== 'D') await protect.query(enableTrigger(current, name, enabled))
  for (const { name, enabled } of current.rules) if (enabled !== 'D') await protect.query(enableRule(current, name, enabled))
}

async function decorateTable(protect: SqlChannel, shape: TableShape, oid: string): Promise<void> {
  const name = tableName(shape)
  const statements = [...comment(`TABLE ${name}`, shape.comment)]
  if (shape.replicaIdentity === 'f') statements.push(`ALTER TABLE ${name} REPLICA IDENTITY FULL`)
  if (shape.replicaIdentity === 'n') statements.push(`ALTER TABLE ${name} REPLICA IDENTITY NOTHING`)
  if (shape.rowSecurity) statements.push(`ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY`)
  if (shape.forceRowSecurity) statements.push(`ALTER TABLE ${name} FORCE ROW LEVEL SECURITY`)
  await runAll(protect, statements)
  await restoreGrants(protect, `TABLE ${name}`, 'pg_class', oid, shape.owner, shape.grants)
}

/** A sequence is never set back: numbers given out since stay given out. One that was made anew goes on where the old one was. */
async function setSequences(
  protect: SqlChannel,
  shape: TableShape,
  values: CopiedTable['sequenceValues'],
  gap: Gap,
): Promise<void> {
  const fresh = gap.created ? shape.sequences : missingSequences(shape, gap)
  for (const { schema, name, last, called } of values) {
    const sequence = shape.sequences.find((one) => one.schema === schema && one.name === name)
    if (!sequence) continue
    const quoted = tableName(sequence)
    const ahead = sequence.increment.startsWith('-') ? 's.last_value < $2::int8' : 's.last_value > $2::int8'
    await protect.query(
      `SELECT setval($1::regclass, $2::int8, $3::bool) FROM ${quoted} s WHERE NOT (${ahead}) AND NOT (s.last_value = $2::int8 AND s.is_called)`,
      [quoted, last, called ? 't' : 'f'],
    )
    if (!fresh.includes(sequence)) continue
    await runAll(protect, comment(`SEQUENCE ${quoted}`, sequence.comment))
    const oid = await protect.query('SELECT $1::regclass::oid::text', [quoted])
    await restoreGrants(protect, `SEQUENCE ${quoted}`, 'pg_class', oid[0]?.[0] ?? '', shape.owner, sequence.grants)
  }
}
