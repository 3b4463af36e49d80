import type { Json, Operation, ResolvedOperation, Restored } from '@sallyport/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemorySeal } from '../../../../tests/fakes/memory-seal.ts'
import { openAccess, type RealAccess } from '../../../../tests/fakes/sql-access.ts'
import { startPostgres, type PostgresServer } from '../../../../tests/servers/postgres.ts'
import { resolve } from './resolve.ts'
import { restore } from './restore.ts'
import { snapshot } from './snapshot.ts'

let server: PostgresServer
let access: RealAccess

beforeAll(async () => {
  server = await startPostgres()
  access = await openAccess(server.url(), server.url())
})
afterAll(async () => {
  await access[Symbol.asyncDispose]()
  await server.stop()
})

function operation(action: string, context: { readonly [key: string]: Json }): Operation {
  return {
    action: `postgres.${action}`,
    resources: [],
    impact: { kind: 'destroy', reversible: false },
    why: 'test',
    context: { functions: [], extensionFunctions: [], builtins: [], cascade: false, ...context },
  }
}

function target(name: string, schema: string | null = null): { readonly [key: string]: Json } {
  return { schema, name, only: false }
}

interface Undone {
  readonly resolved: readonly ResolvedOperation[]
  readonly undo: () => Promise<Restored>
  readonly seal: MemorySeal
}

async function destroy(sql: string, ...operations: readonly Operation[]): Promise<Undone> {
  const resolved = await resolve(operations, access.upstream)
  const plans = resolved.map(({ copy }) => copy)
  if (plans.some(({ kind }) => kind === 'impossible')) throw new Error(JSON.stringify(plans))
  const seal = new MemorySeal()
  const content = await snapshot(resolved, access.upstream, seal)
  await access.run(sql)
  const undo = (): Promise<Restored> => restore(seal.reader(content), access.upstream, () => undefined)
  return { resolved, undo, seal }
}

async function rows(sql: string): Promise<string> {
  return JSON.stringify(await access.protect.query(sql))
}

async function setUp(sql: string): Promise<void> {
  await access.protect.client.query(sql)
}

describe('undo of DROP TABLE', () => {
  it('brings back rows, keys, indexes, sequences, triggers, policies, grants, views and foreign keys of others', async () => {
    await setUp(`
      CREATE ROLE app; CREATE ROLE reader;
      CREATE SCHEMA shop AUTHORIZATION app;
      CREATE TYPE shop.mood AS ENUM ('sad', 'ok', 'it''s fine');
      CREATE TABLE shop.customers (id serial PRIMARY KEY, name text COLLATE "C" NOT NULL DEFAULT 'n''n', mood shop.mood DEFAULT 'ok',
        number bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 5), twice bigint GENERATED ALWAYS AS (number * 2) STORED,
        since date DEFAULT '2020-02-03', UNIQUE (name), CHECK (name <> ''), boss int REFERENCES shop.customers ON DELETE SET NULL);
      CREATE INDEX customers_lower ON shop.customers (lower(name)) WHERE since IS NOT NULL;
      CREATE TABLE shop.orders (id int PRIMARY KEY, customer int CONSTRAINT orders_customer REFERENCES shop.customers ON DELETE CASCADE);
      CREATE VIEW shop.happy (who) WITH (security_barrier) AS SELECT name FROM shop.customers WHERE mood = 'ok';
      CREATE VIEW shop.happier AS SELECT who FROM shop.happy;
      CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
      CREATE TRIGGER note BEFORE INSERT ON shop.customers FOR EACH ROW EXECUTE FUNCTION shop.note();
      ALTER TABLE shop.customers DISABLE TRIGGER note;
      ALTER TABLE shop.customers ENABLE ROW LEVEL SECURITY;
      CREATE POLICY own ON shop.customers FOR SELECT TO reader USING (name = current_user);
      COMMENT ON TABLE shop.customers IS 'who''s who'; COMMENT ON COLUMN shop.customers.name IS E'a\\\\b';
      GRANT SELECT ON shop.customers TO reader WITH GRANT OPTION; GRANT UPDATE (name) ON shop.customers TO reader;
      GRANT SELECT ON shop.happy TO PUBLIC;
      ALTER TABLE shop.customers OWNER TO app; ALTER VIEW shop.happy OWNER TO app;
      CREATE STATISTICS shop.s (ndistinct) ON name, since FROM shop.customers;
      INSERT INTO shop.customers (name, mood) SELECT 'c' || g, 'ok' FROM generate_series(1, 50) g;
      UPDATE shop.customers SET boss = 1 WHERE id > 1;
      INSERT INTO shop.orders SELECT g, g FROM generate_series(1, 50) g;
      ANALYZE shop.customers;`)
    const shape = `SELECT pg_get_viewdef('shop.happy'::regclass), pg_get_viewdef('shop.happier'::regclass), c.relacl::text, pg_get_userbyid(c.relowner),
      (SELECT json_agg(json_build_array(attname, attacl::text, atttypid::regtype::text, attidentity, col_description(c.oid, attnum)) ORDER BY attname) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0),
      (SELECT json_agg(pg_get_constraintdef(oid) ORDER BY conname) FROM pg_constraint WHERE conrelid = c.oid OR confrelid = c.oid),
      (SELECT json_agg(pg_get_indexdef(indexrelid) ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = c.oid),
      (SELECT json_agg(json_build_array(pg_get_triggerdef(oid), tgenabled)) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal),
      (SELECT json_agg(json_build_array(polname, pg_get_expr(polqual, polrelid))) FROM pg_policy WHERE polrelid = c.oid), c.relrowsecurity,
      obj_description(c.oid), (SELECT relacl::text FROM pg_class WHERE oid = 'shop.happy'::regclass)
      FROM pg_class c WHERE c.oid = 'shop.customers'::regclass`
    const before = [
      await rows(shape),
      await rows('SELECT * FROM shop.customers ORDER BY id'),
      await rows('SELECT last_value, is_called FROM shop.customers_id_seq'),
    ]
    const { undo, resolved } = await destroy(
      'DROP TABLE shop.customers CASCADE',
      operation('drop_table', { targets: [target('customers', 'shop')], cascade: true }),
    )
    expect(resolved[0]?.impact.scope).toMatchObject({ rows: 50, exact: true, tables: ['shop.customers'] })
    expect(resolved[0]?.impact.scope?.dependants).toEqual(
      expect.arrayContaining(['view shop.happy', 'view shop.happier', 'constraint orders_customer on table shop.orders']),
    )
    expect(await rows(`SELECT to_regclass('shop.customers')`)).toBe('[[null]]')
    const restored = await undo()
    expect(restored).toMatchObject({ rows: 50, verified: true, note: '' })
    expect([
      await rows(shape),
      await rows('SELECT * FROM shop.customers ORDER BY id'),
      await rows('SELECT last_value, is_called FROM shop.customers_id_seq'),
    ]).toEqual(before)
    await setUp(`INSERT INTO shop.customers (name) VALUES ('next')`)
    expect(await rows(`SELECT id, number, twice FROM shop.customers WHERE name = 'next'`)).toBe('[["51","350","700"]]')
  })
})
