import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runCommandLine } from '../fakes/command-line.ts'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'

/** A real gate whose agents run as roles of their own: what they may do goes on working, and what they may not never reaches an owner. */
let postgres: PostgresServer
let gate: TestGate

beforeAll(async () => {
  postgres = await startPostgres()
  gate = await startGate({
    postgres,
    wait: '1s',
    agents: {
      reader: { owner: 'ada', may: ['read orders-db'] },
      writer: { owner: 'ada', may: ['write orders-db', 'postgres.update orders-db', 'postgres.delete orders-db'] },
      coder: { owner: 'ada', may: ['any orders-db'] },
    },
  })
  await arrange(
    postgres,
    `CREATE TABLE orders (id serial PRIMARY KEY, total int); INSERT INTO orders (total) SELECT i FROM generate_series(1, 20) i;
     CREATE TABLE lines (id serial PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE)`,
  )
  for (const agent of ['reader', 'writer']) {
    const end = await runCommandLine(['upstream', 'provision', 'orders-db', '--agent', agent, '--revoke-public'], {
      folder: gate.directory,
      input: postgres.url(),
    })
    if (end.code !== 0) throw new Error(end.output + end.errors)
  }
})
afterAll(async () => {
  await gate?.stop()
  await postgres?.stop()
})

async function roleOf(agent: string): Promise<unknown> {
  const connection = await gate.connect(agent)
  const { rows } = await connection.run('SELECT current_user::text AS role')
  await connection.close()
  return rows[0]?.['role']
}

describe('agents with roles of their own', () => {
  test('run with the shared one until the gate is started again, and then with their own; others with the shared one', async () => {
    expect(await roleOf('reader')).toBe('app_use')
    await gate.halt()
    await gate.start()
    expect(await roleOf('reader')).toMatch(/^sallyport_orders-db_reader_/)
    expect(await roleOf('writer')).toMatch(/^sallyport_orders-db_writer_/)
    expect(await roleOf('coder')).toBe('app_use')
  })

  test('a reader reads and a writer writes, deletes with their cascades copied first, as before', async () => {
    const reader = await gate.connect('reader')
    expect((await reader.run('SELECT count(*)::int AS rows FROM orders')).rows).toEqual([{ rows: 20 }])
    expect((await reader.run('DELETE FROM orders')).sqlState).not.toBe('00000')
    await reader.close()
    const writer = await gate.connect('writer')
    expect(await writer.run('INSERT INTO orders (total) VALUES (21)')).toMatchObject({ sqlState: '00000', rowCount: 1 })
    expect(await writer.run('INSERT INTO lines (order_id) VALUES (1)')).toMatchObject({ sqlState: '00000' })
    expect(await writer.run('UPDATE orders SET total = 0 WHERE id = 1')).toMatchObject({ sqlState: '00000', rowCount: 1 })
    expect(await writer.run('UPDATE orders SET total = total + 1')).toMatchObject({ sqlState: '00000', rowCount: 21 })
    expect(await writer.run('DELETE FROM orders WHERE id = 1')).toMatchObject({ sqlState: '00000', rowCount: 1 })
    expect((await writer.run('TRUNCATE orders CASCADE')).sqlState).not.toBe('00000')
    await writer.close()
    expect(await postgres.query('SELECT count(*)::int AS rows FROM orders')).toEqual([{ rows: 20 }])
  })

  test('a role that the server no longer lets in is not replaced by the shared one', async () => {
    const [role] = await postgres.query("SELECT rolname FROM pg_roles WHERE rolname LIKE 'sallyport%reader%'")
    await postgres.query(`ALTER ROLE "${String(role?.['rolname'])}" NOLOGIN`)
    await expect(gate.connect('reader')).rejects.toThrow(/28000/)
    await postgres.query(`ALTER ROLE "${String(role?.['rolname'])}" LOGIN`)
    expect(await roleOf('reader')).toBe(role?.['rolname'])
  })

  test('no password of any role is in the log, in the gate’s output or in the configuration', () => {
    const texts = [JSON.stringify(gate.events()), readFileSync(gate.configuration, 'utf8')]
    for (const agent of ['reader', 'writer']) {
      const url = new URL(readFileSync(`${gate.directory}/secrets/orders-db.${agent}.use`, 'utf8').trim())
      for (const text of texts) expect(text).not.toContain(url.password)
    }
  })
})
