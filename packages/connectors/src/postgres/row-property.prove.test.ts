import type { Restored } from '@sallyport/core'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { roundsOf } from '../../../../tests/breadth.ts'
import { MemorySeal } from '../../../../tests/fakes/memory-seal.ts'
import { useTrialDatabase } from '../../../../tests/servers/trial-database.ts'
import { manifestSchema } from './copy-manifest.ts'
import { count } from './count.ts'
import { describe as describeSql } from './describe.ts'
import { resolve } from './resolve.ts'
import { restore } from './restore.ts'
import { snapshot } from './snapshot.ts'

const trial = useTrialDatabase()

const actions = ['CASCADE', 'CASCADE', 'CASCADE', 'SET NULL', 'SET DEFAULT', 'NO ACTION'] as const
const tablesMax = 5
const rowsEach = 8

interface Reference {
  readonly child: number
  readonly parent: number
  readonly action: (typeof actions)[number]
  /** Which parent each row of the child refers to; null: none. */
  readonly values: readonly (number | null)[]
}

interface Forest {
  /** Whether a table's key has two columns. */
  readonly composite: readonly boolean[]
  readonly references: readonly Reference[]
  readonly target: number
  readonly doomed: readonly number[]
}

const forest: fc.Arbitrary<Forest> = fc.integer({ min: 2, max: tablesMax }).chain((tables) => {
  const table = fc.integer({ min: 0, max: tables - 1 })
  const row = fc.integer({ min: 1, max: rowsEach })
  return fc.record({
    composite: fc.array(fc.boolean(), { minLength: tables, maxLength: tables }),
    references: fc.array(
      fc.record({
        child: table,
        parent: table,
        action: fc.constantFrom(...actions),
        values: fc.array(fc.option(row, { freq: 3 }), { minLength: rowsEach, maxLength: rowsEach }),
      }),
      { minLength: 1, maxLength: 7 },
    ),
    target: table,
    doomed: fc.uniqueArray(row, { minLength: 1, maxLength: 3 }),
  })
})

/** Tables t0 … with the keys (id) or (id, kind), and a column or two for each foreign key. */
function build({ composite, references }: Forest): string {
  const tables = composite.map((two, index) => {
    const own = references.flatMap(({ child, parent }, at) =>
      child === index ? [`f${at} int`, ...(composite[parent] ? [`g${at} text DEFAULT 'x'`] : [])] : [],
    )
    const keys = two ? ['id int', "kind text DEFAULT 'x'", ...own, 'PRIMARY KEY (id, kind)'] : ['id int PRIMARY KEY', ...own]
    return `CREATE TABLE t.t${index} (${keys.join(', ')}); INSERT INTO t.t${index} (id) SELECT generate_series(1, ${rowsEach})`
  })
  const values = references.flatMap((reference, at) =>
    reference.values.map((value, row) => `UPDATE t.t${reference.child} SET f${at} = ${value ?? 'NULL'} WHERE id = ${row + 1}`),
  )
  const keys = references.map(({ child, parent, action }, at) => {
    const two = composite[parent] === true
    return `ALTER TABLE t.t${child} ADD FOREIGN KEY (f${at}${two ? `, g${at}` : ''}) REFERENCES t.t${parent} ON DELETE ${action}`
  })
  return ['DROP SCHEMA IF EXISTS t CASCADE; CREATE SCHEMA t', ...tables, ...values, ...keys].join('; ')
}

type Rows = ReadonlyMap<string, string>

/** Each row of each table by its key. */
async function observe({ composite }: Forest): Promise<readonly Rows[]> {
  const out: Rows[] = []
  for (const index of composite.keys()) {
    const found = await trial.access.protect.query(`SELECT x.id::text, x::text FROM t.t${index} x`)
    out.push(new Map(found.map(([id, text]) => [id ?? '', text ?? ''])))
  }
  return out
}

const seen = { committed: 0, refused: 0, impossible: 0, deepest: 0 }

it('any forest of foreign keys: what is shown is what changes, what changes was copied, and an undo brings all of it back', async () => {
  await fc.assert(
    fc.asyncProperty(forest, async (one) => {
      await trial.access.release()
      await trial.access.protect.client.query(build(one))
      const before = await observe(one)
      const sql = `DELETE FROM t.t${one.target} WHERE id IN (${one.doomed.join(', ')})`
      const [resolved] = await resolve(await describeSql({ sql }), trial.access.upstream)
      if (!resolved || resolved.copy.kind === 'impossible') {
        expect(resolved?.copy.kind === 'impossible' ? resolved.copy.reason : '').toMatch(/key of .* would change/)
        seen.impossible += 1
        return
      }
      expect(resolved).toMatchObject({ copy: { kind: 'rows' }, impact: { scope: { exact: true } } })
      const seal = new MemorySeal()
      const content = await snapshot([resolved], trial.access.upstream, seal)
      expect(content.rows).toBe(resolved.impact.scope?.rows)
      const counted = await count(trial.access.upstream)
      const ran = await trial.access.session.query(sql).then(
        () => true,
        () => false,
      )
      if (!ran) {
        await trial.access.release()
        expect(await observe(one)).toEqual(before)
        seen.refused += 1
        return
      }
      expect((await count(trial.access.upstream)) - counted).toBeLessThanOrEqual(content.rows)
      await trial.access.run('SELECT 1')
      await checkCopied(one, before, manifestSchema.parse(content.manifest).tables)
      const undone: Restored = await restore(seal.reader(content), trial.access.upstream, () => undefined)
      expect(undone).toMatchObject({ verified: true, note: '' })
      expect(await observe(one)).toEqual(before)
      seen.committed += 1
      seen.deepest = Math.max(seen.deepest, content.rows)
    }),
    { numRuns: roundsOf(120, 25) },
  )
  expect(seen.committed).toBeGreaterThan(roundsOf(40, 5))
  expect(seen.deepest).toBeGreaterThan(roundsOf(10, 2))
})

/** Every row that is gone or changed is in the copy; and the copy of a table that only loses rows holds no other. */
async function checkCopied(
  one: Forest,
  before: readonly Rows[],
  copied: readonly {
    readonly shape: { readonly name: string }
    readonly rows: number
    readonly undo: { readonly onDifferent: string }
  }[],
): Promise<void> {
  const after = await observe(one)
  for (const [index, rows] of before.entries()) {
    const changed = [...rows].filter(([id, text]) => after[index]?.get(id) !== text)
    const copy = copied.find(({ shape }) => shape.name === `t${index}`)
    expect(copy?.rows ?? 0).toBeGreaterThanOrEqual(changed.length)
    if (copy?.undo.onDifferent === 'refuse') expect(copy.rows).toBe(changed.length)
  }
}
