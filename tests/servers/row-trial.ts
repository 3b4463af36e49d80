import type { ResolvedOperation, Restored, SnapshotContent } from '@sallyport/core'
import { beforeAll, expect } from 'vitest'
import { count } from '../../packages/connectors/src/postgres/count.ts'
import { describe as describeSql } from '../../packages/connectors/src/postgres/describe.ts'
import { resolve } from '../../packages/connectors/src/postgres/resolve.ts'
import { restore } from '../../packages/connectors/src/postgres/restore.ts'
import { snapshot } from '../../packages/connectors/src/postgres/snapshot.ts'
import { MemorySeal } from '../fakes/memory-seal.ts'
import type { RealAccess } from '../fakes/sql-access.ts'
import { useTrialDatabase, type TrialDatabase } from './trial-database.ts'

export interface Sealed {
  readonly resolved: ResolvedOperation
  readonly content: SnapshotContent
  readonly undo: () => Promise<Restored>
}

/** A trial database in which one statement after another is copied by rows, run and undone, while somebody else writes. */
export interface RowTrial extends TrialDatabase {
  /** Somebody else at the same database. */
  readonly writer: RealAccess
  readonly look: (sql: string, by?: RealAccess) => Promise<ResolvedOperation>
  readonly seal: (sql: string, by?: RealAccess) => Promise<Sealed>
  /** What govern does with what was sealed: counts, runs, counts again, and rolls back what changed more than was copied. */
  readonly run: (sql: string, sealed: Sealed, by?: RealAccess) => Promise<'committed' | 'rolled back'>
  readonly deleteAndUndo: (sql: string) => Promise<Sealed>
}

/** Called at the top of a test file, as `useTrialDatabase`. */
export function useRowTrial(): RowTrial {
  const trial = useTrialDatabase()
  let writer: RealAccess | null = null
  beforeAll(async () => {
    writer = await trial.open()
  })
  const look: RowTrial['look'] = async (sql, by = trial.access) => {
    const [first] = await resolve(await describeSql({ sql }), by.upstream)
    if (!first) throw new Error('no operation')
    return first
  }
  const seal: RowTrial['seal'] = async (sql, by = trial.access) => {
    const resolved = await look(sql, by)
    if (resolved.copy.kind === 'impossible') throw new Error(JSON.stringify(resolved.copy))
    const vault = new MemorySeal()
    const content = await snapshot([resolved], by.upstream, vault)
    return { resolved, content, undo: () => restore(vault.reader(content), trial.access.upstream, () => undefined) }
  }
  const run: RowTrial['run'] = async (sql, { content }, by = trial.access) => {
    const before = await count(by.upstream)
    await by.session.query(sql)
    const changed = (await count(by.upstream)) - before
    if (changed > content.rows) {
      await by.release()
      return 'rolled back'
    }
    expect(changed).toBe(content.rows)
    await by.run('SELECT 1')
    return 'committed'
  }
  return {
    get server() {
      return trial.server
    },
    get access() {
      return trial.access
    },
    get writer() {
      if (writer === null) throw new Error('the writer comes before the tests, not before their file')
      return writer
    },
    open: trial.open,
    setUp: trial.setUp,
    fresh: trial.fresh,
    rows: trial.rows,
    look,
    seal,
    run,
    async deleteAndUndo(sql) {
      const sealed = await seal(sql)
      expect(await run(sql, sealed)).toBe('committed')
      expect(await sealed.undo()).toMatchObject({ verified: true, note: '' })
      return sealed
    },
  }
}
