import type { Restored, SnapshotContent, SqlChannel, Upstream } from '@sallyport/core'
import { describe, expect, it } from 'vitest'
import { MemorySeal } from '../../../../tests/fakes/memory-seal.ts'
import { useTrialDatabase } from '../../../../tests/servers/trial-database.ts'
import { checksumRows } from './checksum.ts'
import { manifestJson, manifestSchema } from './copy-manifest.ts'
import { describe as describeSql } from './describe.ts'
import { resolve } from './resolve.ts'
import { restore } from './restore.ts'
import { snapshot } from './snapshot.ts'

const trial = useTrialDatabase()
const { fresh } = trial

async function copyBeforeDrop(seal = new MemorySeal(), upstream: Upstream = trial.access.upstream): Promise<SnapshotContent> {
  return snapshot(await resolve(await describeSql({ sql: 'DROP TABLE t.a' }), upstream), upstream, seal)
}

describe('how a copy is compared', () => {
  const filled = `CREATE TABLE t.a (id int PRIMARY KEY, v text); INSERT INTO t.a SELECT g, 'v' FROM generate_series(1, 50) g`
  /** The copy before a DROP, where the server does something else with what the gate says about the scratch table. */
  async function withScratch(change: {
    readonly asked?: (sql: string) => string
    readonly filled?: (scratch: string) => string
  }): Promise<SnapshotContent> {
    const { protect, upstream } = trial.access
    const { access } = upstream
    if (access?.kind !== 'sql') throw new Error('the trial database is asked in SQL')
    const other: SqlChannel = {
      query: (sql, values) => protect.query(sql, values),
      copyOut: (sql) => protect.copyOut(sql.includes('scratch') ? (change.asked?.(sql) ?? sql) : sql),
      copyIn: async (sql, chunks) => {
        const rows = await protect.copyIn(sql, chunks)
        const scratch = /pg_temp\."[a-z_0-9]+"/.exec(sql)?.[0] ?? ''
        if (change.filled) await protect.query(change.filled(scratch))
        return rows
      },
    }
    try {
      return await copyBeforeDrop(new MemorySeal(), { ...upstream, access: { ...access, protect: other } })
    } finally {
      await trial.access.release()
    }
  }

  it('a scratch table that gives its rows in another order holds them all the same', async () => {
    await fresh(filled)
    const content = await withScratch({ asked: (sql) => sql.replace(' r) TO', ' r ORDER BY 1 DESC) TO') })
    expect(content).toMatchObject({ rows: 50 })
  })

  it('one that holds another row, or one row twice for another, is no copy', async () => {
    for (const other of ["SET v = 'w' WHERE id = 7", 'SET id = 8 WHERE id = 7']) {
      await fresh(filled)
      const made = withScratch({ filled: (scratch) => `UPDATE ${scratch} ${other}` })
      await expect(made, other).rejects.toMatchObject({ code: 'copy_failed' })
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
