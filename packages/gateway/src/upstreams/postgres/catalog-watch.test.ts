import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startPostgres, type PostgresServer } from '../../../../../tests/servers/postgres.ts'
import { CatalogWatch, fingerprintSql } from './catalog-watch.ts'

describe('CatalogWatch', () => {
  let server: PostgresServer
  let client: pg.Client
  beforeAll(async () => {
    server = await startPostgres()
    client = new pg.Client({ connectionString: server.url() })
    client.on('error', () => undefined)
    await client.connect()
    await client.query(`CREATE TABLE t (id int PRIMARY KEY, a int); CREATE TABLE u (id int); CREATE VIEW v AS SELECT id FROM t;
      CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE SCHEMA other`)
  })
  afterAll(async () => {
    await client.end()
    await server.stop()
  })

  async function ask(): Promise<string> {
    const { rows } = await client.query<{ concat: string }>(fingerprintSql)
    return rows[0]?.concat ?? ''
  }

  it('gives another epoch after anything that changes what a name means or what a write does', async () => {
    const watch = new CatalogWatch(ask)
    await watch.confirm()
    const seen = new Set([watch.epoch()])
    const changes = [
      'CREATE TABLE other.t (id int)',
      'ALTER TABLE t ADD COLUMN b int',
      'ALTER TABLE t ALTER COLUMN b SET DEFAULT 1',
      'ALTER TABLE t RENAME COLUMN b TO c',
      'CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()',
      'ALTER TABLE t DISABLE TRIGGER tr',
      "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM u; RETURN NEW; END'",
      'CREATE RULE r AS ON UPDATE TO u DO INSTEAD DELETE FROM t',
      'ALTER TABLE u ADD CONSTRAINT k FOREIGN KEY (id) REFERENCES t ON DELETE CASCADE',
      'CREATE OR REPLACE VIEW v AS SELECT a AS id FROM t',
      'ALTER TABLE t DROP CONSTRAINT t_pkey CASCADE',
      'CREATE UNIQUE INDEX i ON t (a)',
      'ALTER TABLE t ENABLE ROW LEVEL SECURITY',
      'CREATE POLICY p ON t USING (true)',
      "CREATE FUNCTION lower(int) RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
      'CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)',
      'CREATE DOMAIN d AS int',
      "CREATE ROLE somebody VALID UNTIL 'infinity'",
      'GRANT somebody TO postgres',
      'ALTER TABLE t SET SCHEMA other2',
      'DROP TABLE u CASCADE',
      'CREATE TEMP TABLE t (id int)',
      'ALTER EXTENSION plpgsql ADD FUNCTION f()',
    ]
    await client.query('CREATE SCHEMA other2')
    for (const change of changes) {
      await client.query(change)
      await watch.confirm()
      expect([change, seen.has(watch.epoch())]).toEqual([change, false])
      seen.add(watch.epoch())
    }
    expect(seen.has(null)).toBe(false)
  })

  it('gives the same epoch while only rows change, to whoever watches, and again after nothing was known', async () => {
    const watch = new CatalogWatch(ask)
    await client.query('CREATE TABLE w (id int)')
    await watch.confirm()
    const epoch = watch.epoch()
    await client.query('INSERT INTO w SELECT generate_series(1, 1000); UPDATE w SET id = id + 1; ANALYZE w')
    watch.doubt()
    await watch.confirm()
    expect(watch.epoch()).toBe(epoch)
    const other = new CatalogWatch(ask)
    expect(other.epoch()).toBeNull()
    await other.confirm()
    expect(other.epoch()).toBe(epoch)
  })

  it('knows nothing when time passed, when in doubt, when the answer may be older than the doubt, and when nobody answers', async () => {
    let nowMs = 0
    let answer: () => Promise<string> = () => Promise.resolve('one')
    const watch = new CatalogWatch(
      () => answer(),
      () => nowMs,
    )
    await watch.confirm()
    const epoch = watch.epoch()
    expect(epoch).not.toBeNull()
    answer = () => new Promise(() => undefined)
    nowMs = 2_000
    expect(watch.epoch()).toBe(epoch)
    nowMs = 2_001
    expect(watch.epoch()).toBeNull()

    let speak: (text: string) => void = () => undefined
    const doubted = new CatalogWatch(
      () => new Promise((resolve) => (speak = resolve)),
      () => nowMs,
    )
    const asking = doubted.confirm()
    doubted.doubt()
    speak('from before')
    await asking
    expect(doubted.epoch()).toBeNull()

    const broken = new CatalogWatch(
      () => Promise.reject(new Error('gone')),
      () => nowMs,
    )
    await broken.confirm()
    expect(broken.epoch()).toBeNull()
  })

  it('counts the time from when it asked: what was committed during the answer is not known', async () => {
    let nowMs = 0
    const watch = new CatalogWatch(
      () => {
        nowMs += 1_900
        return Promise.resolve('slow')
      },
      () => nowMs,
    )
    await watch.confirm()
    nowMs += 100
    expect(watch.epoch()).not.toBeNull()
    nowMs += 1
    expect(watch.epoch()).toBeNull()
  })

  it('knows nothing after the machine slept, or its clock was set', async () => {
    let wallMs = 1_000_000
    const watch = new CatalogWatch(
      () => Promise.resolve('one'),
      () => 0,
      () => wallMs,
    )
    await watch.confirm()
    expect(watch.epoch()).not.toBeNull()
    wallMs += 2_001
    expect(watch.epoch()).toBeNull()
    wallMs -= 2_002
    expect(watch.epoch()).toBeNull()
  })

  it('is not asked without end by whoever makes it doubt without end', async () => {
    let nowMs = 0
    let asked = 0
    const watch = new CatalogWatch(
      async () => {
        asked += 1
        nowMs += 100
        return 'one'
      },
      () => nowMs,
      () => nowMs,
    )
    await watch.confirm()
    // An hour of statements that may change the catalog, one each 10 ms.
    for (; nowMs < 3_600_000; nowMs += 10) {
      watch.doubt()
      watch.epoch()
      await Promise.resolve()
    }
    expect(asked * 100).toBeLessThan(3_600_000 / 4)
    watch.doubt()
    nowMs += 1_000
    watch.epoch()
    await watch.confirm()
    expect(watch.epoch()).not.toBeNull()
  })
})
