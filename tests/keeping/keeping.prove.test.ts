import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'

let postgres: PostgresServer
let gate: TestGate
beforeAll(async () => {
  postgres = await startPostgres()
  gate = await startGate({
    postgres,
    upstreams: {
      'orders-db': { keep: { demand: '1d', checks: [{ ask: 'SELECT count(*) FROM public.orders', atLeast: 3 }] } },
    },
  })
  await arrange(
    postgres,
    `CREATE TABLE orders (id int PRIMARY KEY, note text); INSERT INTO orders SELECT g, 'n' || g FROM generate_series(1, 5) g;
     CREATE TABLE old_orders (id int PRIMARY KEY); INSERT INTO old_orders VALUES (1)`,
  )
}, 60_000)
afterAll(async () => {
  await gate.stop()
  await postgres.stop()
})

const jobShape = z.object({
  id: z.string(),
  state: z.string(),
  result: z.record(z.string(), z.unknown()).nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
})

async function order(what: string, name: string, more: object = {}): Promise<z.infer<typeof jobShape>> {
  const { id } = await gate.post('/api/v1/keeping/jobs', { what, name, ...more }, jobShape)
  return await expect
    .poll(async () => gate.get(`/api/v1/keeping/jobs/${id}`, jobShape), { timeout: 120_000, interval: 100 })
    .toSatisfy((job: z.infer<typeof jobShape>) => job.state === 'done' || job.state === 'failed')
    .then(() => gate.get(`/api/v1/keeping/jobs/${id}`, jobShape))
}

const targetShape = z.object({
  kept: z.array(
    z.object({
      name: z.string(),
      newestCopy: z.object({ snapshot: z.string() }).nullable(),
      wouldLoseMs: z.number().nullable(),
      restoreTookMs: z.number().nullable(),
      drilled: z.boolean(),
      lastDrill: z.object({ passed: z.boolean(), why: z.string() }).nullable(),
    }),
  ),
})
const target = async () => (await gate.get('/api/v1/keeping', targetShape)).kept[0]

describe('a database that is kept whole, behind a real gate', () => {
  it('may lose nothing while no drill has passed, whoever approves', async () => {
    const agent = await gate.connect('coder')
    const refused = await agent.run('DROP TABLE old_orders')
    await agent.close()
    expect(refused.message).toContain('restore point')
    expect(gate.events().some(({ type }) => type === 'request.opened')).toBe(false)
    expect(await target()).toMatchObject({ newestCopy: null, wouldLoseMs: null, restoreTookMs: null, drilled: false })
  })

  it('fails a drill for which there is no copy, and says so on the log', async () => {
    const job = await order('drill', 'orders-db')
    expect(job).toMatchObject({ state: 'failed', error: { code: 'copy_failed' } })
    expect(gate.events().findLast(({ type }) => type === 'drill')?.data).toMatchObject({ result: 'failed', drill: 'restore' })
    expect(await target()).toMatchObject({ drilled: false, lastDrill: { passed: false } })
  })

  it('is copied, drilled, and then lets people decide again', async () => {
    const copied = await order('copy', 'orders-db')
    expect(copied).toMatchObject({ state: 'done', result: { rows: 6, things: 2 } })
    const drilled = await order('drill', 'orders-db')
    expect(drilled).toMatchObject({ state: 'done', result: { drill: { passed: true, compared: 2, answers: [{ answer: '5' }] } } })
    expect(await target()).toMatchObject({ drilled: true, lastDrill: { passed: true } })
    expect(gate.events().findLast(({ type }) => type === 'drill')?.data).toMatchObject({ result: 'passed' })
    const agent = await gate.connect('coder')
    const asked = agent.run('DROP TABLE old_orders')
    expect(await gate.pendingRequest('coder')).toBeTypeOf('string')
    await agent.client.end()
    await asked
  })

  it('gives one table out of a copy, with all that belongs to it', async () => {
    const taken = await order('extract', 'orders-db', { thing: 'public.orders' })
    expect(taken).toMatchObject({ state: 'done', result: { rows: 5 } })
    const file = z.object({ file: z.string() }).parse(taken.result).file
    const sql = readFileSync(file, 'utf8')
    expect(sql).toContain('CREATE TABLE public.orders')
    expect(sql).toContain('orders_pkey')
    expect(sql).not.toContain('old_orders')
    expect(await order('extract', 'orders-db', { thing: 'public.nothing' })).toMatchObject({ state: 'failed' })
  })

  it('fails a drill whose question is answered otherwise, and nothing may be destroyed again', async () => {
    await arrange(postgres, 'DELETE FROM orders WHERE id > 2')
    await order('copy', 'orders-db')
    expect(await order('drill', 'orders-db')).toMatchObject({ state: 'failed' })
    expect(await target()).toMatchObject({ drilled: false, lastDrill: { passed: false } })
    const agent = await gate.connect('coder')
    expect((await agent.run('TRUNCATE old_orders')).message).toContain('restore point')
    await agent.close()
  })

  it('leaves no server, program or folder behind when the gate is killed in the middle of a drill', async () => {
    const { pid } = gate.process
    await gate.post('/api/v1/keeping/jobs', { what: 'drill', name: 'orders-db' }, jobShape)
    const folders = (): readonly string[] => readdirSync(tmpdir()).filter((name) => name.includes(`-${pid}-`))
    const programs = (): readonly string[] =>
      readdirSync('/proc').filter((one) => /^\d+$/.test(one) && readCommand(one).includes(`-${pid}-`))
    await expect.poll(programs, { timeout: 60_000, interval: 20 }).not.toEqual([])
    await gate.crash()
    await expect.poll(programs, { timeout: 60_000 }).toEqual([])
    await gate.start()
    await expect.poll(folders, { timeout: 60_000 }).toEqual([])
  })
})

function readCommand(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}
