import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { decodeSegment } from '@sallyport/core'
import type { HttpPerson } from '../fakes/http-person.ts'
import { waitUntil } from '../fakes/own-processes.ts'
import { arrange, startGate, type AgentConnection, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { checksums, eventsOf, patience, requestOf, textOf } from './evidence.ts'
import { makeFaults } from './faults.ts'
import { openPsql, type Psql } from './psql.ts'

vi.setConfig(patience)

const faults = makeFaults()
let postgres: PostgresServer
let gate: TestGate
let coder: AgentConnection
let psql: Psql
let bob: HttpPerson

beforeAll(async () => {
  postgres = await startPostgres()
  gate = await startGate({ postgres, wait: '0ms', environment: faults.environment, limits: { rowsWithoutPrompt: 5 } })
  await arrange(
    postgres,
    `CREATE TABLE notes (id int PRIMARY KEY, body text);
     INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 40) n;
     CREATE TABLE seen (id int, what text, at_ms double precision);
     CREATE FUNCTION note_it() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
       $$ BEGIN INSERT INTO seen VALUES (coalesce(NEW.id, OLD.id), TG_OP, extract(epoch FROM clock_timestamp()) * 1000); RETURN coalesce(NEW, OLD); END $$;
     CREATE TRIGGER note_it BEFORE INSERT OR UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION note_it()`,
  )
  await gate.person('ada')
  bob = await gate.person('bob')
  coder = await gate.connect('coder')
  psql = await openPsql(gate, 'coder')
})

afterAll(async () => {
  faults.releaseDisk()
  await coder?.close()
  await gate?.stop()
  await postgres?.stop()
  faults.remove()
})

async function countNotes(where: string): Promise<number> {
  const [row] = await postgres.query(`SELECT count(*)::int AS count FROM notes WHERE ${where}`)
  return Number(row?.['count'])
}

const intentsWith = (text: string): number =>
  eventsOf(gate, 'intent').filter((intent) => textOf(intent, 'text').includes(text)).length

describe('Promise 7, at every isolation level: nothing but a read runs before its intent is durable in the log; reads are durable within 10 ms or the gate stops', () => {
  it('the server was never earlier than the log', async () => {
    for (let id = 100; id < 110; id += 1) {
      expect(await coder.run(`INSERT INTO notes VALUES (${id}, 'new')`)).toMatchObject({ sqlState: '00000' })
      expect(await coder.run(`UPDATE notes SET body = 'newer' WHERE id = ${id}`)).toMatchObject({ sqlState: '00000' })
    }
    await waitUntil('every outcome', () => eventsOf(gate, 'outcome').length === 20)
    const acts = await postgres.query('SELECT at_ms::float8 AS at FROM seen ORDER BY at_ms')
    const events = gate.events()
    const intents = events.filter(({ type }) => type === 'intent')
    expect([acts.length, intents.length]).toEqual([20, 20])
    intents.forEach((intent, place) => {
      const outcome = events.findIndex(({ type, data }) => type === 'outcome' && data['intent'] === intent.data['intent'])
      expect(events.indexOf(intent)).toBeLessThan(outcome)
      expect(intent.atMs).toBeLessThanOrEqual(Number(acts[place]?.['at']) + 1)
      expect(events[outcome]?.atMs).toBeGreaterThanOrEqual(Math.floor(Number(acts[place]?.['at'])) - 1)
    })
  })

  it('while the disk holds an intent back, nothing of the statement reaches the server', async () => {
    const acts = [
      "INSERT INTO notes VALUES (200, 'held')",
      "UPDATE notes SET body = 'held' WHERE id = 1",
      'DELETE FROM notes WHERE id = 2',
      'CREATE TABLE held ()',
    ]
    for (const sql of acts) {
      const before = await checksums(postgres, ['notes', 'held'])
      await waitForQuietLog()
      faults.holdDisk()
      let ended = false
      const running = coder.run(sql).finally(() => (ended = true))
      // Written, and not yet down: visible to us, and no promise.
      await waitUntil(
        `the intent of ${sql}`,
        () => intentsWith(sql) === 1 || ended || eventsOf(gate, 'snapshot.sealed').length > 0,
      )
      for (let look = 0; look < 15; look += 1) expect(await checksums(postgres, ['notes', 'held']), sql).toEqual(before)
      expect(ended, sql).toBe(false)
      faults.releaseDisk()
      expect(await running, sql).toMatchObject({ sqlState: '00000' })
      expect(await checksums(postgres, ['notes', 'held']), sql).not.toEqual(before)
    }
  })

  it('a verdict counts only once it is durable', async () => {
    const request = requestOf(await psql.run('DELETE FROM notes'))
    const before = await checksums(postgres, ['notes'])
    await waitForQuietLog()
    faults.holdDisk()
    let given = false
    const giving = bob.give(request, 'approve').finally(() => (given = true))
    await waitUntil('the verdict', () => eventsOf(gate, 'verdict').length === 1 || given)
    const state = async (): Promise<string> =>
      (await gate.get(`/api/v1/requests/${request}`, z.object({ state: z.string() }))).state
    for (let look = 0; look < 15; look += 1) expect(await state()).toBe('pending')
    expect(given).toBe(false)
    faults.releaseDisk()
    expect((await giving).status).toBe(200)
    expect(await state()).toBe('approved')
    expect(await checksums(postgres, ['notes'])).toEqual(before)
  })

  it('reads go on for 10 ms at most over a disk that has stopped, and go on again after it', async () => {
    let answered = 0
    let lastAtMs = 0
    const stop = new AbortController()
    const reading = (async () => {
      for (let id = 0; !stop.signal.aborted; id += 1) {
        if ((await coder.run(`SELECT count(*) FROM notes WHERE id > ${id % 100}`)).sqlState !== '00000') return
        answered += 1
        lastAtMs = performance.now()
      }
    })()
    try {
      await waitUntil('a hundred reads', () => answered > 100)
      const before = gate.events().length
      faults.holdDisk()
      lastAtMs = performance.now()
      await waitUntil('reads to stop', () => performance.now() - lastAtMs > 400)
      const stoppedAt = answered
      faults.releaseDisk()
      await waitUntil('reads to go on', () => answered > stoppedAt + 20)
      await waitUntil('what was counted to be down', () => eventsOf(gate, 'reads').length > 0 && gate.events().length > before)
    } finally {
      faults.releaseDisk()
      stop.abort()
      await reading
    }
    // By the gate's own clock: none was let through that came later than 10 ms after one that was not down yet.
    const spans = eventsOf(gate, 'reads').map(({ data }) => spanOf(data['reads']))
    expect(spans.length).toBeGreaterThan(1)
    expect(Math.max(...spans)).toBeLessThanOrEqual(10 + clockStepMs)
  })

  it('a log that cannot be appended to stops everything, and stays stopped until a person looks', async () => {
    const { size, path } = await fillLog()
    const before = await checksums(postgres, ['notes', 'seen'])
    limitFiles(size)
    const acts = [
      "INSERT INTO notes VALUES (300, 'lost')",
      'DELETE FROM notes',
      'DELETE FROM notes WHERE id = 3',
      'DROP TABLE seen',
      'SELECT wipe()',
    ]
    for (const sql of acts) expect(await coder.run(sql), sql).toMatchObject({ sqlState: '58000' })
    for (const sql of ['SELECT count(*) FROM notes', 'SELECT 1', 'BEGIN'])
      expect((await coder.run(sql)).sqlState, sql).toMatch(/58000|08006/)
    expect((await psql.run('SELECT 1')).sqlState).toMatch(/58000|08006/)
    expect(newestSegment()).toEqual({ path, size })
    // Room again: what failed once is not trusted again.
    limitFiles(null)
    for (const sql of ['SELECT 1', acts[0] ?? '']) expect((await psql.run(sql)).sqlState, sql).toMatch(/58000|08006/)
    expect(await checksums(postgres, ['notes', 'seen'])).toEqual(before)
    await gate.crash()
    await gate.start()
    expect(await psql.run("INSERT INTO notes VALUES (300, 'after')")).toMatchObject({ sqlState: '00000' })
    expect(await countNotes('id = 300')).toBe(1)
  })

  it('a gate does not start on a log that it cannot believe', async () => {
    await gate.halt()
    const { path } = newestSegment()
    const bytes = readFileSync(path)
    const at = Math.floor(bytes.length / 3)
    const changed = Buffer.from(bytes)
    changed[at] = (changed[at] ?? 0) ^ 1
    writeFileSync(path, changed)
    await expect(gate.start()).rejects.toThrow(/log/)
    writeFileSync(path, bytes)
    await gate.start()
    expect(await psql.run('SELECT count(*) FROM notes')).toMatchObject({ sqlState: '00000' })
  })
})

const readsShape = z.array(z.object({ firstAtMs: z.number(), lastAtMs: z.number() }))
/** Times on the log are whole milliseconds at both ends. */
const clockStepMs = 2

/** From the first to the last read that went down together. */
function spanOf(reads: unknown): number {
  const counted = readsShape.parse(reads)
  return Math.max(...counted.map(({ lastAtMs }) => lastAtMs)) - Math.min(...counted.map(({ firstAtMs }) => firstAtMs))
}

/** `size`: where its last group ends; zeros may follow, written ahead. */
function newestSegment(): { readonly path: string; readonly size: number } {
  const folder = join(gate.directory, 'log', 'entries')
  const path = join(folder, readdirSync(folder).sort().at(-1) ?? '')
  return { path, size: decodeSegment(readFileSync(path)).end }
}

/** Makes the log's file the largest that the gate has, so that a limit on files meets the log alone. */
async function fillLog(): Promise<{ readonly path: string; readonly size: number }> {
  const filler = 'x'.repeat(30_000)
  const largest = (): number =>
    Math.max(
      ...['store.db', 'store.db-wal'].map((name) => statSync(join(gate.directory, name), { throwIfNoEntry: false })?.size ?? 0),
    )
  while (newestSegment().size < largest() + 256 * 1024)
    expect(await coder.run(`SELECT 1 /* ${filler} */`)).toMatchObject({ sqlState: '00000' })
  await waitForQuietLog()
  return newestSegment()
}

/** Reads are counted, and sessions are closed, a few milliseconds after: what is still on its way would make the file longer, or hold up what comes after it. */
async function waitForQuietLog(): Promise<void> {
  let [last, looks] = [-1, 0]
  await waitUntil('the log to be quiet', () => {
    const { size } = newestSegment()
    looks = size === last ? looks + 1 : 0
    last = size
    return looks >= quietLooks
  })
}

/** So often looked at, and not a byte more: many times as long as anything is held back. */
const quietLooks = 20

/** Of util-linux, which every Debian has. */
const limiter = 'prlimit'

/** The kernel lets no file of the gate's grow past `bytes`, as on a full disk. */
function limitFiles(bytes: number | null): void {
  execFileSync(limiter, ['--pid', String(gate.process.pid), `--fsize=${bytes ?? 'unlimited'}:unlimited`])
}
