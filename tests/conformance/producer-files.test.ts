import { mkdirSync, mkdtempSync, rmSync, writeFileSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, vi } from 'vitest'
import { folder } from '../../packages/gateway/src/producers/folder/index.ts'
import { sqlite } from '../../packages/gateway/src/producers/sqlite/index.ts'
import { describeProducer } from './producer.ts'

const root = mkdtempSync(join(tmpdir(), 'sallyport-kept-'))
const shelf = (): string => join(root, 'shelf')
// What is left behind is looked for here, where nobody else leaves anything.
beforeAll(() => void vi.stubEnv('TMPDIR', root))
afterAll(() => vi.unstubAllEnvs())
afterAll(() => rmSync(root, { recursive: true, force: true }))

describeProducer(
  'folder',
  async () => {
    const place = mkdtempSync(join(root, 'folder-'))
    mkdirSync(join(place, 'inside'))
    writeFileSync(join(place, 'note'), 'a note\n')
    writeFileSync(join(place, 'inside', 'data'), Buffer.alloc(100_000, 7))
    symlinkSync('note', join(place, 'link'))
    return {
      producer: folder.open(place),
      change: async () => writeFileSync(join(place, 'note'), 'another\n'),
      destroy: async () => rmSync(place, { recursive: true }),
      thing: 'inside/data',
      questions: null,
    }
  },
  shelf,
)

let count = 0
describeProducer(
  'sqlite',
  async () => {
    count += 1
    const file = join(root, `database-${count}.db`)
    const database = new DatabaseSync(file)
    database.exec(
      `PRAGMA journal_mode = WAL; CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT); CREATE INDEX by_note ON orders (note)`,
    )
    database.exec(`INSERT INTO orders (note) VALUES ('one'), ('two'), (NULL)`)
    database.close()
    return {
      producer: sqlite.open(file),
      change: async () => {
        const open = new DatabaseSync(file)
        open.exec(`INSERT INTO orders (note) VALUES ('three')`)
        open.close()
      },
      destroy: async () => rmSync(file),
      thing: 'orders',
      questions: {
        right: { ask: 'SELECT count(*) FROM orders', is: '3' },
        wrong: { ask: 'SELECT count(*) FROM orders', atLeast: 4 },
        broken: { ask: 'SELECT nothing FROM nowhere', is: '1' },
      },
    }
  },
  shelf,
)
