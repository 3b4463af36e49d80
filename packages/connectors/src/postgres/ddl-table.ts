import { quoteIdentifier, quoteLiteral, quoteQualified } from './catalog-name.ts'
import type { ColumnShape, ConstraintShape, PolicyShape, SequenceShape, TableShape } from './catalog-shape.ts'
import { grantStatements } from './ddl-grant.ts'

export function tableName(shape: { readonly schema: string; readonly name: string }): string {
  return quoteQualified(shape.schema, shape.name)
}

/** CREATE TABLE with its columns; keys, indexes and all else come when the rows are in. */
export function createTable(shape: TableShape): string {
  const columns = shape.columns.map((column) => columnDefinition(shape, column))
  const options = [...shape.options, ...shape.toastOptions.map((option) => `toast.${option}`)]
  const persistence = shape.persistence === 'u' ? 'UNLOGGED ' : ''
  return `CREATE ${persistence}TABLE ${tableName(shape)} (${columns.join(', ')})${storageOptions(options)}`
}

/** Options as the catalog keeps them, `name=value`; the value is quoted, the name is one of the server's own words. */
export function storageOptions(options: readonly string[]): string {
  if (options.length === 0) return ''
  const written = options.map((option) => {
    const at = option.indexOf('=')
    const name = option.slice(0, at)
    if (!/^(?:toast\.)?[a-z_][a-z0-9_]*$/.test(name)) throw new Error('an option with an odd name')
    return `${name} = ${quoteLiteral(option.slice(at + 1))}`
  })
  return ` WITH (${written.join(', ')})`
}

function columnDefinition(shape: TableShape, column: ColumnShape): string {
  return [columnType(column), columnValue(shape, column), column.notNull ? 'NOT NULL' : '']
    .filter((part) => part !== '')
    .join(' ')
}

function columnType({ name, type, collation }: ColumnShape): string {
  return `${quoteIdentifier(name)} ${type}${collation === null ? '' : ` COLLATE ${collation}`}`
}

function columnValue(shape: TableShape, column: ColumnShape): string {
  if (column.identity !== '') return `GENERATED ${identityWord(column)} AS IDENTITY (${identityOptions(shape, column)})`
  if (column.default === null) return ''
  if (column.generated !== '') return `GENERATED ALWAYS AS (${column.default}) ${column.generated === 's' ? 'STORED' : 'VIRTUAL'}`
  return `DEFAULT ${column.default}`
}

function identityWord(column: ColumnShape): string {
  return column.identity === 'a' ? 'ALWAYS' : 'BY DEFAULT'
}

function identityOptions(shape: TableShape, column: ColumnShape): string {
  const sequence = shape.sequences.find((one) => one.ownership === 'i' && one.column === column.name)
  if (!sequence) throw new Error(`identity column ${column.name} has no sequence`)
  return `SEQUENCE NAME ${tableName(sequence)} ${sequenceOptions(sequence)}`
}

function sequenceOptions({ start, increment, minimum, maximum, cache, cycle }: SequenceShape): string {
  const numbers = [start, increment, minimum, maximum, cache]
  if (numbers.some((number) => !/^-?[0-9]+$/.test(number))) throw new Error('a sequence with an odd number')
  return `START ${start} INCREMENT ${increment} MINVALUE ${minimum} MAXVALUE ${maximum} CACHE ${cache} ${cycle ? 'CYCLE' : 'NO CYCLE'}`
}

/** Serial sequences must be there before the table, whose defaults name them. */
export function createSequence(sequence: SequenceShape): string {
  return `CREATE SEQUENCE ${tableName(sequence)} AS ${sequence.type} ${sequenceOptions(sequence)}`
}

export function ownSequence(shape: TableShape, sequence: SequenceShape): string {
  return `ALTER SEQUENCE ${tableName(sequence)} OWNED BY ${tableName(shape)}.${quoteIdentifier(sequence.column)}`
}

/** A column that was lost: without NOT NULL and default until its values are back. A generated one is complete at once. */
export function addColumn(shape: TableShape, column: ColumnShape): string {
  const value = column.generated === '' ? '' : ` ${columnValue(shape, column)}`
  return `ALTER TABLE ONLY ${tableName(shape)} ADD COLUMN ${columnType(column)}${value}`
}

/** What addColumn left out, once the values are back. */
export function finishColumn(shape: TableShape, column: ColumnShape): readonly string[] {
  const alter = `ALTER TABLE ONLY ${tableName(shape)} ALTER COLUMN ${quoteIdentifier(column.name)}`
  const statements: string[] = []
  if (column.notNull) statements.push(`${alter} SET NOT NULL`)
  if (column.generated !== '') return statements
  if (column.identity !== '')
    statements.push(`${alter} ADD GENERATED ${identityWord(column)} AS IDENTITY (${identityOptions(shape, column)})`)
  else if (column.default !== null) statements.push(`${alter} SET DEFAULT ${column.default}`)
  return statements
}

/** Storage, compression, statistics, options, comment and grants of one column. */
export function decorateColumn(shape: TableShape, column: ColumnShape): readonly string[] {
  const name = quoteIdentifier(column.name)
  const alter = `ALTER TABLE ONLY ${tableName(shape)} ALTER COLUMN ${name}`
  const statements: string[] = []
  if (column.storage !== null) statements.push(`${alter} SET STORAGE ${storageWord(column.storage)}`)
  if (column.compression !== null) statements.push(`${alter} SET COMPRESSION ${column.compression === 'l' ? 'lz4' : 'pglz'}`)
  if (column.statistics !== null) statements.push(`${alter} SET STATISTICS ${column.statistics}`)
  if (column.options !== null) statements.push(`${alter} SET${storageOptions(column.options).replace(' WITH', '')}`)
  statements.push(...comment(`COLUMN ${tableName(shape)}.${name}`, column.comment))
  if (column.grants !== null) statements.push(...grantStatements(`TABLE ${tableName(shape)}`, column.grants, column.name))
  return statements
}

function storageWord(letter: string): string {
  const words: { readonly [letter: string]: string } = { p: 'PLAIN', e: 'EXTERNAL', x: 'EXTENDED', m: 'MAIN' }
  const word = words[letter]
  if (word === undefined) throw new Error('an unknown storage mode')
  return word
}

export function comment(what: string, text: string | null): readonly string[] {
  return text === null ? [] : [`COMMENT ON ${what} IS ${quoteLiteral(text)}`]
}

export function addConstraint(
  shape: { readonly schema: string; readonly name: string },
  constraint: Pick<ConstraintShape, 'name' | 'definition'>,
): string {
  return `ALTER TABLE ONLY ${tableName(shape)} ADD CONSTRAINT ${quoteIdentifier(constraint.name)} ${constraint.definition}`
}

const policyCommands = { r: 'SELECT', a: 'INSERT', w: 'UPDATE', d: 'DELETE', '*': 'ALL' } as const

export function createPolicy(shape: TableShape, policy: PolicyShape): readonly string[] {
  const on = `${quoteIdentifier(policy.name)} ON ${tableName(shape)}`
  const roles = policy.roles.map((role) => (role === null ? 'PUBLIC' : quoteIdentifier(role))).join(', ')
  const using = policy.using === null ? '' : ` USING (${policy.using})`
  const check = policy.check === null ? '' : ` WITH CHECK (${policy.check})`
  const kind = policy.permissive ? 'PERMISSIVE' : 'RESTRICTIVE'
  return [
    `CREATE POLICY ${on} AS ${kind} FOR ${policyCommands[policy.command]} TO ${roles}${using}${check}`,
    ...comment(`POLICY ${on}`, policy.comment),
  ]
}

const enableWords = { O: 'ENABLE', D: 'DISABLE', R: 'ENABLE REPLICA', A: 'ENABLE ALWAYS' } as const

export function enableTrigger(shape: TableShape, name: string, enabled: 'O' | 'D' | 'R' | 'A'): string {
  return `ALTER TABLE ${tableName(shape)} ${enableWords[enabled]} TRIGGER ${quoteIdentifier(name)}`
}

export function enableRule(shape: TableShape, name: string, enabled: 'O' | 'D' | 'R' | 'A'): string {
  return `ALTER TABLE ${tableName(shape)} ${enableWords[enabled]} RULE ${quoteIdentifier(name)}`
}
