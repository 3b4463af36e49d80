import type { Restored, SnapshotContent } from '@sallyport/core'
import { describe, expect, it } from 'vitest'
import { MemorySeal } from '../../../../tests/fakes/memory-seal.ts'
import type { RealAccess } from '../../../../tests/fakes/sql-access.ts'
import { useTrialDatabase } from '../../../../tests/servers/trial-database.ts'
import { checksumRows } from './checksum.ts'
import { manifestJson, manifestSchema } from './copy-manifest.ts'
import { describe as describeSql } from './describe.ts'
import { resolve } from './resolve.ts'
import { restore } from './restore.ts'
import { snapshot } from './snapshot.ts'

const trial = useTrialDatabase()
const { fresh } = trial

async function copyBeforeDrop(seal = new MemorySeal()): Promise<SnapshotContent> {
  const resolved = await resolve(await describeSql({ sql: 'DROP TABLE t.a' }), trial.access.upstream)
  return snapshot(resolved, trial.access.upstream, seal)
}

describe('how a copy is compared', () => {
  const filled = `CREATE TABLE t.a (id int PRIMARY KEY, v text); INSERT INTO t.a SELECT g, 'v' FROM generate_series(1, 50) g`
  /** The protect connection as a server that does something else with the scratch table. */
  async function withScratch(
    change: (protect: RealAccess['protect']) => Partial<RealAccess['protect']>,
  ): Promise<SnapshotContent> {
    const { protect } = trial.access
    const [copyOut, copyIn] = [protect.copyOut.bind(protect), protect.copyIn.bind(protect)]
    Object.assign(protect, change(Object.assign(Object.create(protect), { copyOut, copyIn })))
    try {
      return await copyBeforeDrop()
    } finally {
      Object.assign(protect, { copyOut, copyIn })
      await trial.access.release()
    }
  }

  it('a scratch table that gives its rows in another order holds them all the same', async () => {
    await fresh(filled)
    const content = await withScratch(({ copyOut }) => ({
      copyOut: (sql) => copyOut(sql.includes('scratch') ? sql.replace(' r) TO', ' r ORDER BY 1 DESC) TO') : sql),
    }))
    expect(content).toMatchObject({ rows: 50 })
  })

  it('one that holds another row, or one row twice for another, is no copy', async () => {
    for (const [row, other] of ["SET v = 'w' WHERE id = 7", 'SET id = 8 WHERE id = 7'].entries()) {
      await fresh(filled)
      const made = withScratch((protect) => ({
        copyIn: async (sql, chunks) => {
          const rows = await protect.copyIn(sql, chunks)
          await protect.query(`UPDATE ${/pg_temp\."[a-z_0-9]+"/.exec(sql)?.[0] ?? ''} ${other}`)
          return rows
        },
      }))
      await expect(made, String(row)).rejects.toMatchObject({ code: 'copy_failed' })
    }
  })

  it('one that an older gate made says the checksum of its rows, and is undone by that', async () => {
    await fresh(filled)
    const seal = new MemorySeal()
    const content = await copyBeforeDrop(seal)
    const { sha256 } = await checksumRows(trial.access.protect, 'ONLY t.a r', ['id', 'v'])
    await trial.access.run('DROP TABLE t.a')
    const withSum = (sum: string): SnapshotContent => {
      const manifest = manifestSchema.parse(content.manifest)
      const tables = manifest.tables.map((table) => ({ ...table, sha256: sum }))
      return { ...content, checksums: { 't.a': sum }, manifest: manifestJson({ ...manifest, tables }) }
    }
    const undo = (sum: string): Promise<Restored> => restore(seal.reader(withSum(sum)), trial.access.upstream, () => undefined)
    await expect(undo('0'.repeat(64))).rejects.toMatchObject({ message: expect.stringContaining('not those that were sealed') })
    expect(await undo(sha256)).toMatchObject({ rows: 50, verified: true })
  })
})
