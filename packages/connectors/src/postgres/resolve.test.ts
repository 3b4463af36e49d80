import { SallyportError, type Operation, type ResolvedOperation, type Upstream } from '@sallyport/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openAccess, type RealAccess } from '../../../../tests/fakes/sql-access.ts'
import { startPostgres, type PostgresServer } from '../../../../tests/servers/postgres.ts'
import { parseShownName, quoteIdentifier, quoteLiteral } from './catalog-name.ts'
import { closeParsers, describe as describeSql } from './describe.ts'
import { resolve } from './resolve.ts'

let server: PostgresServer
let access: RealAccess

beforeAll(async () => {
  server = await startPostgres()
  access = await openAccess(server.url(), server.url())
  await access.protect.client
    .query(`CREATE SCHEMA t; CREATE TABLE t.a (id int PRIMARY KEY, v text, w int, UNIQUE (v, w)); INSERT INTO t.a SELECT g, 'v', g FROM generate_series(1, 10) g;
    CREATE VIEW t.view AS SELECT * FROM t.a; CREATE SEQUENCE t.s;
    CREATE FUNCTION t.harmless(x int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT x + 1';
    CREATE FUNCTION t.lies() RETURNS bigint IMMUTABLE LANGUAGE sql AS $$ SELECT nextval('t.s') $$;
    CREATE FUNCTION t.nests() RETURNS bigint STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN t.lies(); END $$;
    CREATE FUNCTION t.dynamic() RETURNS int STABLE LANGUAGE plpgsql AS $$ DECLARE r int; BEGIN EXECUTE 'select 1' INTO r; RETURN r; END $$;
    CREATE FUNCTION t.open() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION t.two(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION t.two(text) RETURNS int LANGUAGE sql AS 'SELECT 1'`)
})
afterAll(async () => {
  await access[Symbol.asyncDispose]()
  await server.stop()
  await closeParsers()
})

async function look(sql: string, upstream: Upstream = access.upstream): Promise<ResolvedOperation> {
  const [first] = await resolve(await describeSql({ sql }), upstream)
  await access.release()
  if (!first) throw new Error('no operation')
  return first
}

describe('resolve', () => {
  it('gives a read its oid and nothing to copy', async () => {
    const oid = (await access.protect.query(`SELECT 't.a'::regclass::oid::text`))[0]?.[0]
    expect(await look('SELECT * FROM t.a')).toMatchObject({
      impact: { kind: 'read' },
      copy: { kind: 'none' },
      resources: [{ name: 't.a', identity: oid }],
    })
  })

  it('lets a read through while the backend is busy, and nothing else', async () => {
    const { access: sql } = access.upstream
    if (sql.kind !== 'sql') throw new Error('no connection')
    const busy = async (): Promise<never> =>
      Promise.reject(new SallyportError('not_supported', 'The backend is busy.', 'Nothing was asked.', 'Wait.'))
    const upstream: Upstream = { ...access.upstream, access: { ...sql, session: { ...sql.session, query: busy } } }
    expect(await look('SELECT * FROM t.a', upstream)).toMatchObject({ impact: { kind: 'read' }, copy: { kind: 'none' } })
    await expect(look('DELETE FROM t.a', upstream)).rejects.toMatchObject({ code: 'not_supported' })
  })

  it.each([
    ['harmless', 'SELECT t.harmless(1)', 'read'],
    ['labelled immutable, calls nextval', 'SELECT t.lies()', 'unknown'],
    ['labelled stable, calls one that lies', 'SELECT t.nests()', 'unknown'],
    ['dynamic SQL', 'SELECT t.dynamic()', 'unknown'],
    ['volatile', 'SELECT t.open()', 'unknown'],
    ['two of that name', 'SELECT t.two(1)', 'unknown'],
    ['not there', 'SELECT t.nowhere(1)', 'unknown'],
  ])('a function %s: %s → %s', async (_, sql, kind) => {
    const resolved = await look(sql)
    expect(resolved.impact.kind).toBe(kind)
    expect(resolved.copy.kind).toBe(kind === 'read' ? 'none' : 'impossible')
  })

  it('runs nothing of the agent ahead that has an effect, and still shows an upper bound', async () => {
    for (const sql of [
      `DELETE FROM t.a WHERE nextval('t.s') > 0`,
      'DELETE FROM t.a WHERE random() < 0.5',
      'DELETE FROM t.a WHERE t.lies() > 0',
      'DELETE FROM t.a WHERE pg_sleep(3) IS NULL',
    ]) {
      const resolved = await look(sql)
      expect(resolved.copy.kind, sql).not.toBe('rows')
      expect(resolved.impact.scope?.exact ?? false, sql).toBe(false)
    }
    expect(await access.protect.query('SELECT is_called::text FROM t.s')).toEqual([['false']])
  })

  it('gives up counting in time, and says that it did not count', async () => {
    const resolved = await look('DELETE FROM t.a WHERE (SELECT count(*) FROM generate_series(1, 100000000000) g WHERE g > w) > 0')
    expect(resolved.impact.scope).toMatchObject({ rows: 10, exact: false })
  })

  it('takes the cautious path for context that is missing or not as expected', async () => {
    const bare: Operation = {
      action: 'postgres.delete',
      resources: [{ type: 'table', name: 't.a' }],
      impact: { kind: 'destroy', reversible: false },
      why: 'test',
      context: {},
    }
    const odd: Operation = { ...bare, context: { target: { schema: 1 }, preimage: 'DROP TABLE t.a', functions: 'none' } }
    for (const operation of [bare, odd]) {
      const [resolved] = await resolve([operation], access.upstream)
      expect(resolved?.copy.kind).toBe('tables')
      expect(resolved?.impact.scope?.exact).toBe(false)
    }
    const [strange] = await resolve([{ ...bare, action: 'postgres.vaporise' }], access.upstream)
    expect(strange?.copy.kind).toBe('impossible')
    const preimage = { from: 't.a', where: null, alias: 'a" , pg_class "b', keyColumns: [] }
    const [injected] = await resolve(
      [
        {
          ...bare,
          context: { functions: [], extensionFunctions: [], builtins: [], preimage, target: { schema: 't', name: 'a' } },
        },
      ],
      access.upstream,
    )
    expect(injected?.copy.kind).toBe('tables')
  })

  it('a half of a key is no key', async () => {
    expect((await look(`UPDATE t.a SET w = 0 WHERE v = 'v'`)).impact.kind).toBe('destroy')
    expect((await look(`UPDATE t.a SET w = 0 WHERE id = 3`)).impact.kind).toBe('write')
    expect((await look(`UPDATE t.view SET w = 0 WHERE id = 3`)).impact.kind).toBe('destroy')
  })

  it('an INSERT that a rule turns into something else is unknown', async () => {
    await access.protect.client.query('CREATE TABLE t.r (a int); CREATE RULE bite AS ON INSERT TO t.r DO ALSO DELETE FROM t.a')
    expect(await look('INSERT INTO t.r VALUES (1)')).toMatchObject({ impact: { kind: 'unknown' }, copy: { kind: 'impossible' } })
  })

  it('several statements: single rows are not enough when another one changes rows before', async () => {
    const resolved = await resolve(
      await describeSql({ sql: `INSERT INTO t.a VALUES (99); DELETE FROM t.a WHERE id > 5` }),
      access.upstream,
    )
    await access.release()
    expect(resolved.map(({ copy }) => copy.kind)).toEqual(['none', 'tables'])
  })
})

describe('names', () => {
  it('quotes so that no name ends early', () => {
    expect(quoteIdentifier('a"b')).toBe('"a""b"')
    expect(quoteLiteral(`\\'; DROP TABLE a; --`)).toBe(`E'\\\\''; DROP TABLE a; --'`)
    expect(() => quoteIdentifier('a\0b')).toThrow(RangeError)
  })

  it('reads shown names, and nothing else', () => {
    expect(parseShownName('public."Odd.""Name"')).toEqual(['public', 'Odd."Name'])
    for (const odd of ['', 'a.', '.a', 'a b', 'a"b', '"a', 'a.b.c.d', 'A']) expect(parseShownName(odd), odd).toBeNull()
  })
})
