import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { testStore } from '../../../../tests/conformance/store.ts'
import { wallClock } from '../access/clock.ts'
import { openDatabase } from './database.ts'
import { openEmbeddedStore } from './embedded.ts'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-store-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let count = 0

testStore('the embedded store', async () => {
  const path = join(folder, `${count++}.db`)
  const open = (): ReturnType<typeof openEmbeddedStore> => openEmbeddedStore(openDatabase(path), wallClock)
  return { one: open(), other: open() }
})
