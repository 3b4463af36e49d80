import fc from 'fast-check'
import { expect, it } from 'vitest'
import { roundsOf } from '../../../../tests/breadth.ts'
import { MemorySeal } from '../../../../tests/fakes/memory-seal.ts'
import { useTrialDatabase } from '../../../../tests/servers/trial-database.ts'
import { quoteIdentifier, quoteLiteral } from './catalog-name.ts'
import { inProtect } from './catalog-query.ts'
import { copiedColumns, readTableShapes, type TableShape } from './catalog-shape.ts'
import { checksumRows } from './checksum.ts'
import { describe as describeSql } from './describe.ts'
import { resolve } from './resolve.ts'
import { restore } from './restore.ts'
import { snapshot } from './snapshot.ts'

const trial = useTrialDatabase()

const types = [
  'integer',
  'bigint',
  'numeric',
  'text',
  'varchar(20)',
  'boolean',
  'bytea',
  'jsonb',
  'date',
  'timestamptz',
  'float8',
  'int[]',
  'text[]',
  'uuid',
  'inet',
  'int4range',
  'interval',
] as const
type Type = (typeof types)[number]

const name = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
  .filter((text) => !text.includes('\0') && Buffer.byteLength(text) <= 50 && text.isWellFormed())

function value(type: Type): fc.Arbitrary<string> {
  const text = fc.string({ unit: 'grapheme', maxLength: 15 }).filter((one) => !one.includes('\0') && one.isWellFormed())
  const quoted = (arbitrary: fc.Arbitrary<unknown>): fc.Arbitrary<string> => arbitrary.map((one) => quoteLiteral(String(one)))
  switch (type) {
    case 'integer':
      return quoted(fc.integer())
    case 'bigint':
      return quoted(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }))
    case 'numeric':
      return quoted(
        fc.oneof(
          fc.constantFrom('NaN', 'Infinity', '-Infinity', '1.10', '1.1'),
          fc.bigInt().map((one) => `${one}.50`),
        ),
      )
    case 'text':
      return quoted(text)
    case 'varchar(20)':
      return quoted(text.map((one) => Array.from(one).slice(0, 5).join('')))
    case 'boolean':
      return quoted(fc.boolean())
    case 'bytea':
      return fc.uint8Array({ maxLength: 40 }).map((bytes) => `decode('${Buffer.from(bytes).toString('hex')}', 'hex')`)
    case 'jsonb':
      return quoted(fc.json().filter((json) => !json.includes('\\u0000')))
    case 'date':
      return quoted(fc.constantFrom('2020-02-29', 'infinity', '-infinity', '4713-01-01 BC'))
    case 'timestamptz':
      return quoted(fc.constantFrom('2020-02-29 12:00:00.000001+03', 'infinity', 'epoch'))
    case 'float8':
      return quoted(fc.double())
    case 'int[]':
      return quoted(fc.array(fc.option(fc.integer(), { nil: 'NULL' }), { maxLength: 4 }).map((list) => `{${list.join(',')}}`))
    case 'text[]':
      return fc.array(text, { maxLength: 4 }).map((list) => `ARRAY[${list.map(quoteLiteral).join(',')}]::text[]`)
    case 'uuid':
      return quoted(fc.uuid())
    case 'inet':
      return quoted(fc.ipV4())
    case 'int4range':
      return quoted(fc.constantFrom('empty', '[1,5)', '(,)', '[3,)'))
    case 'interval':
      return quoted(fc.constantFrom('1 year -3 days', '00:00:00.000001', '-1 month'))
  }
}

const table = fc
  .record({
    schema: name,
    name,
    columns: fc.uniqueArray(fc.record({ name, type: fc.constantFrom(...types), notNull: fc.boolean() }), {
      minLength: 0,
      maxLength: 6,
      selector: ({ name: column }) => column,
    }),
    key: fc.constantFrom('none', 'serial', 'identity', 'unique'),
    fill: fc.constantFrom('', ' WITH (fillfactor = 50)'),
  })
  .chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      rows: fc.array(
        fc.tuple(...shape.columns.map(({ type, notNull }) => (notNull ? value(type) : fc.option(value(type), { nil: 'NULL' })))),
        { maxLength: 12 },
      ),
    }),
  )

/** A shape without what must differ between a table and the same table made again. */
function comparable(shape: TableShape): unknown {
  return {
    ...shape,
    oid: '',
    version: '',
    bytes: 0,
    rowsEstimate: 0,
    sequences: shape.sequences.map((sequence) => ({ ...sequence, oid: '' })),
    constraints: shape.constraints.map((constraint) => ({ ...constraint, references: null })),
  }
}

async function observe(
  qualified: string,
): Promise<{ readonly shape: unknown; readonly checksum: unknown; readonly sequences: unknown }> {
  return inProtect(trial.access.protect, 'read', { lockTimeoutMs: 5000, statementTimeoutMs: 5000 }, async () => {
    const oid = await trial.access.protect.query('SELECT $1::regclass::oid::text', [qualified])
    const [shape] = await readTableShapes(trial.access.protect, [oid[0]?.[0] ?? ''])
    if (!shape) throw new Error('no table')
    const sequences: unknown[] = []
    for (const { schema, name: sequence } of shape.sequences) {
      sequences.push(
        await trial.access.protect.query(
          `SELECT last_value, is_called FROM ${quoteIdentifier(schema)}.${quoteIdentifier(sequence)}`,
        ),
      )
    }
    return {
      shape: comparable(shape),
      checksum: await checksumRows(trial.access.protect, `ONLY ${qualified} r`, copiedColumns(shape)),
      sequences,
    }
  })
}

const keys = {
  none: [],
  serial: ['sallyport_key serial PRIMARY KEY'],
  identity: ['sallyport_key int GENERATED ALWAYS AS IDENTITY UNIQUE'],
  unique: ['sallyport_key uuid DEFAULT gen_random_uuid() NOT NULL UNIQUE'],
} as const

it('any table: drop, undo, and it is the same table with the same rows', async () => {
  await fc.assert(
    fc.asyncProperty(table, async ({ shape, rows }) => {
      const [schema, qualified] = [
        quoteIdentifier(shape.schema),
        `${quoteIdentifier(shape.schema)}.${quoteIdentifier(shape.name)}`,
      ]
      if (/^pg_/i.test(shape.schema)) return
      const columns = shape.columns.map(
        (column) => `${quoteIdentifier(column.name)} ${column.type}${column.notNull ? ' NOT NULL' : ''}`,
      )
      const made = [...columns, ...keys[shape.key]].join(', ')
      const list = shape.columns.map((column) => quoteIdentifier(column.name)).join(', ')
      const { client } = trial.access.protect
      await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}; CREATE TABLE ${qualified} (${made})${shape.fill}`)
      for (const row of rows) {
        await client.query(
          list === ''
            ? `INSERT INTO ${qualified} DEFAULT VALUES`
            : `INSERT INTO ${qualified} (${list}) VALUES (${row.join(', ')})`,
        )
      }
      const before = await observe(qualified)
      const sql = `DROP TABLE ${qualified}`
      const resolved = await resolve(await describeSql({ sql }), trial.access.upstream)
      expect(resolved.map(({ copy }) => copy)).toMatchObject([{ kind: 'tables' }])
      const seal = new MemorySeal()
      const content = await snapshot(resolved, trial.access.upstream, seal)
      await trial.access.run(sql)
      expect(await restore(seal.reader(content), trial.access.upstream, () => undefined)).toMatchObject({
        rows: rows.length,
        verified: true,
        note: '',
      })
      expect(await observe(qualified)).toEqual(before)
      await client.query(`DROP SCHEMA ${schema} CASCADE`)
      if (shape.schema === 'public') await client.query('CREATE SCHEMA public')
    }),
    { numRuns: roundsOf(60, 15) },
  )
})
