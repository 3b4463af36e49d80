import { describe, expect, it } from 'vitest'
import { MemorySeal } from '../../../../tests/fakes/memory-seal.ts'
import { openAccess } from '../../../../tests/fakes/sql-access.ts'
import { useTrialDatabase } from '../../../../tests/servers/trial-database.ts'
import { describe as describeSql } from './describe.ts'
import { resolve } from './resolve.ts'
import { restore } from './restore.ts'
import { snapshot } from './snapshot.ts'

const trial = useTrialDatabase()
const { setUp, fresh } = trial

describe('row security', () => {
  it('rows that the agent can not see are copied whole by the protect connection, or not at all', async () => {
    await fresh(`CREATE TABLE t.a (id int PRIMARY KEY, who text); INSERT INTO t.a VALUES (1, 'weak'), (2, 'else'); DROP ROLE IF EXISTS weak;
      CREATE ROLE weak LOGIN PASSWORD 'weak'; GRANT USAGE ON SCHEMA t TO weak; GRANT SELECT, DELETE ON t.a TO weak; ALTER TABLE t.a ENABLE ROW LEVEL SECURITY;
      CREATE POLICY s ON t.a FOR SELECT USING (who = 'weak'); CREATE POLICY d ON t.a FOR DELETE USING (true)`)
    const weak = await openAccess(
      trial.server.url('trial').replace('postgres:test-superuser', 'weak:weak'),
      trial.server.url('trial'),
    )
    const resolved = await resolve(await describeSql({ sql: 'DELETE FROM t.a' }), weak.upstream)
    expect(resolved[0]?.copy.kind).toBe('tables')
    const seal = new MemorySeal()
    const content = await snapshot(resolved, weak.upstream, seal)
    await weak.run('DELETE FROM t.a')
    expect(await restore(seal.reader(content), trial.access.upstream, () => undefined)).toMatchObject({ rows: 2, verified: true })
    await weak[Symbol.asyncDispose]()
    await setUp('DROP SCHEMA t CASCADE; DROP ROLE weak')
  })
})

describe('the protect credential', () => {
  it('needs no more than to read: it copies and compares, and an undo that it may not make changes nothing', async () => {
    await fresh(`CREATE TABLE t.a (id serial PRIMARY KEY, v text); INSERT INTO t.a (v) VALUES ('x'), ('y'); DROP ROLE IF EXISTS keeper;
      CREATE ROLE keeper LOGIN PASSWORD 'keeper'; GRANT pg_read_all_data TO keeper`)
    const kept = await openAccess(
      trial.server.url('trial'),
      trial.server.url('trial').replace('postgres:test-superuser', 'keeper:keeper'),
    )
    const resolved = await resolve(await describeSql({ sql: 'DROP TABLE t.a' }), kept.upstream)
    const seal = new MemorySeal()
    const content = await snapshot(resolved, kept.upstream, seal)
    await kept.run('DROP TABLE t.a')
    await expect(restore(seal.reader(content), kept.upstream, () => undefined)).rejects.toMatchObject({ code: 'upstream_failed' })
    expect(await restore(seal.reader(content), trial.access.upstream, () => undefined)).toMatchObject({ rows: 2, verified: true })
    await setUp('ALTER TABLE t.a ENABLE ROW LEVEL SECURITY')
    const hidden = await resolve(await describeSql({ sql: 'DROP TABLE t.a' }), kept.upstream)
    await expect(snapshot(hidden, kept.upstream, new MemorySeal())).rejects.toMatchObject({ code: 'copy_failed' })
    await kept.release()
    await kept[Symbol.asyncDispose]()
    await setUp('DROP ROLE keeper')
  })
})
