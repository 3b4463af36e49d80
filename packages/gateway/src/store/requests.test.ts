import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { testRequests } from '../../../../tests/conformance/requests.ts'
import { openDatabase } from './database.ts'
import { openRequests } from './requests.ts'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-store-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let count = 0

testRequests('the embedded store', async () => {
  const path = join(folder, `${count++}.db`)
  return {
    requests: openRequests(openDatabase(path)),
    // A second connection on the same file, without closing the first: what a process finds that starts after a kill -9.
    reopen: async () => openRequests(openDatabase(path)),
  }
})

it('keeps the store readable by its owner alone, durable at each commit', () => {
  const path = join(folder, 'mode.db')
  const database = openDatabase(path)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(database.prepare('PRAGMA synchronous').get()).toEqual({ synchronous: 2 })
  expect(database.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
})

it('refuses a store of a newer version', () => {
  const path = join(folder, 'newer.db')
  openDatabase(path).exec('PRAGMA user_version = 999')
  expect(() => openDatabase(path)).toThrow(/newer/)
})
