import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { afterAll, describe, expect, it } from 'vitest'
import { MemorySeal } from '../../../../../tests/fakes/memory-seal.ts'
import { sqlite } from './index.ts'

const root = mkdtempSync(join(tmpdir(), 'sallyport-sqlite-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const options = { report: () => undefined, signal: new AbortController().signal }

/** Moves money between accounts as fast as it can, and never makes or loses any. */
const writer = `
  const { DatabaseSync } = require('node:sqlite')
  const { workerData, parentPort } = require('node:worker_threads')
  const database = new DatabaseSync(workerData)
  database.exec('PRAGMA busy_timeout = 10000')
  let moved = 0
  const step = () => {
    for (let turn = 0; turn < 20; turn++) {
      const [from, to] = [1 + (moved * 7) % 500, 1 + (moved * 13) % 500]
      database.exec('BEGIN IMMEDIATE; UPDATE accounts SET money = money - 5 WHERE id = ' + from + '; UPDATE accounts SET money = money + 5 WHERE id = ' + to + '; INSERT INTO moves (f, t) VALUES (' + from + ', ' + to + '); COMMIT')
      moved++
    }
    parentPort.postMessage(moved)
    setImmediate(step)
  }
  step()
`

describe('a database of SQLite that is kept whole', () => {
  it('is copied as it was at one commit, while somebody writes', async () => {
    const file = join(root, 'bank.db')
    const database = new DatabaseSync(file)
    database.exec(`PRAGMA journal_mode = WAL; CREATE TABLE accounts (id INTEGER PRIMARY KEY, money INTEGER, pad TEXT);
      CREATE TABLE moves (id INTEGER PRIMARY KEY, f INTEGER, t INTEGER)`)
    database.exec('BEGIN')
    const insert = database.prepare('INSERT INTO accounts (money, pad) VALUES (100, ?)')
    for (let index = 0; index < 500; index += 1) insert.run('p'.repeat(2_000))
    database.exec('COMMIT')
    database.close()
    const busy = new Worker(writer, { eval: true, workerData: file })
    try {
      await new Promise((resolve) => busy.once('message', resolve))
      const seal = new MemorySeal()
      const producer = sqlite.open(file)
      const content = await producer.copy(seal, options)
      const checks = [
        { ask: 'SELECT sum(money) FROM accounts', is: '50000' },
        { ask: 'SELECT count(*) FROM accounts', is: '500' },
        // Each move stands in the same transaction as what it moved.
        {
          ask: `SELECT count(*) FROM accounts a WHERE money <> 100 + 5 * ((SELECT count(*) FROM moves WHERE t = a.id) - (SELECT count(*) FROM moves WHERE f = a.id))`,
          is: '0',
        },
        { ask: 'SELECT count(*) FROM moves', atLeast: 1 },
      ]
      const { answers } = await producer.prove(seal.reader(content), { ...options, checks })
      expect(answers.map(({ answer, passed }) => [answer, passed])).toEqual(answers.map(({ answer }) => [answer, true]))
    } finally {
      await busy.terminate()
    }
  })

  it('is compared in every type, and a table of it comes out with its rows and indexes', async () => {
    const file = join(root, 'types.db')
    const database = new DatabaseSync(file)
    database.exec(`CREATE TABLE "odd ""name" (a, b INTEGER GENERATED ALWAYS AS (c + 1) VIRTUAL, c INTEGER, d BLOB, e REAL);
      CREATE INDEX by_c ON "odd ""name" (c);
      INSERT INTO "odd ""name" (a, c, d, e) VALUES (NULL, 9223372036854775807 - 1, x'00ff', 1.5), ('text', -1, x'', -0.0), (1, 2, NULL, 9e999);
      CREATE TABLE keyed (id TEXT PRIMARY KEY, value) WITHOUT ROWID; INSERT INTO keyed VALUES ('k', 1);
      CREATE VIRTUAL TABLE notes USING fts5(body); INSERT INTO notes VALUES ('some words')`)
    database.close()
    const producer = sqlite.open(file)
    const seal = new MemorySeal()
    const content = await producer.copy(seal, options)
    expect(Object.keys(content.checksums)).toEqual(expect.arrayContaining(['odd "name', 'keyed', 'notes_content']))
    const taken = await producer.extract?.(seal.reader(content), 'odd "name', join(root, 'shelf'), options.signal)
    expect(taken?.rows).toBe(3)
    const single = new DatabaseSync(taken?.file ?? '', { readOnly: true })
    expect(single.prepare('SELECT count(*) AS n FROM "odd ""name"').get()).toEqual({ n: 3 })
    expect(single.prepare(`SELECT name FROM sqlite_schema WHERE type = 'index'`).all()).toEqual([{ name: 'by_c' }])
    expect(single.prepare(`SELECT count(*) AS n FROM sqlite_schema WHERE name = 'keyed'`).get()).toEqual({ n: 0 })
    single.close()
  })

  it('is no file of SQLite’s: no copy', async () => {
    const file = join(root, 'text.db')
    const { writeFileSync } = await import('node:fs')
    writeFileSync(file, 'this is no database, only some text that is long enough to be looked at '.repeat(100))
    await expect(sqlite.open(file).copy(new MemorySeal(), options)).rejects.toThrow(/could not be copied/)
    await expect(sqlite.open(join(root, 'missing.db')).copy(new MemorySeal(), options)).rejects.toThrow(/could not be copied/)
  })
})
