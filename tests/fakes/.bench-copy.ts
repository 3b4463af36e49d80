import { MemorySeal, openAccess } from '/work/main/tests/fakes/sql-access.ts'
import { startPostgres } from '/work/main/tests/servers/postgres.ts'
import { resolve } from '/work/main/packages/connectors/src/postgres/resolve.ts'
import { restore } from '/work/main/packages/connectors/src/postgres/restore.ts'
import { snapshot } from '/work/main/packages/connectors/src/postgres/snapshot.ts'
const server = await startPostgres()
const access = await openAccess(server.url(), server.url())
for (const n of [100, 10000, 100000, 1000000]) {
 for (let round = 0; round < 3; round++) {
  await server.query(`DROP TABLE IF EXISTS orders; CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL, total numeric(10,2), note text, at timestamptz DEFAULT now()); INSERT INTO orders (customer,total,note) SELECT g%1000, g*1.5, 'order number ' || g FROM generate_series(1,${n}) g; ANALYZE orders`)
  const op = { action: 'postgres.drop_table', resources: [], impact: { kind: 'destroy', reversible: false }, why: 't', context: { functions: [], cascade: false, targets: [{ schema: null, name: 'orders', only: false }] } } as const
  let t = performance.now()
  const resolved = await resolve([op], access.upstream)
  const t1 = performance.now() - t; t = performance.now()
  const seal = new MemorySeal()
  const content = await snapshot(resolved, access.upstream, seal)
  const t2 = performance.now() - t; t = performance.now()
  await access.run('DROP TABLE orders')
  const r = await restore(seal.reader(content), access.upstream, () => {})
  const t3 = performance.now() - t
  console.log(n, 'resolve', t1.toFixed(0), 'snapshot', t2.toFixed(0), 'drop+undo', t3.toFixed(0), r.verified, content.bytes)
 }
}
await access[Symbol.asyncDispose](); await server.stop()
