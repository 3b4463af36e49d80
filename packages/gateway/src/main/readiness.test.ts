import { expect, test } from 'vitest'
import { openDatabase } from '../store/database.ts'
import { openReadiness, type ReadinessPorts } from './readiness.ts'

function ask(changes: Partial<ReadinessPorts> = {}): ReturnType<ReturnType<typeof openReadiness>> {
  const vault = { health: async () => ({ unready: null }) }
  const log = { health: () => ({ state: 'ok' }) }
  const database = openDatabase(':memory:')
  return openReadiness({ log, vault, database, isLeaving: () => false, nowMs: () => 0, ...changes })()
}

test('a gate is ready when log, store, vault and lease are, and it does not leave', async () => {
  expect(await ask()).toEqual({ ready: true, problems: [] })
  expect(await ask({ log: { health: () => ({ state: 'behind' }) } })).toMatchObject({ ready: true })
  expect(await ask({ lease: () => null })).toMatchObject({ ready: true })
})

test.each<[string, Partial<ReadinessPorts>]>([
  ['log', { log: { health: () => ({ state: 'failed' }) } }],
  ['vault', { vault: { health: async () => ({ unready: 'no bucket' }) } }],
  ['vault', { vault: { health: () => Promise.reject(new Error('no socket')) } }],
  ['lease', { lease: () => 'the store was not heard of' }],
  ['leaving', { isLeaving: () => true }],
])('else it says what is in the way: %s', async (problem, changes) => {
  expect(await ask(changes)).toEqual({ ready: false, problems: [problem] })
})

test('a store that takes no writes', async () => {
  const database = openDatabase(':memory:')
  database.exec('PRAGMA query_only = ON')
  expect(await ask({ database })).toEqual({ ready: false, problems: ['store'] })
})

test('who asks often gets the answer of a moment ago', async () => {
  let looks = 0
  let nowMs = 0
  const vault = { health: async () => ({ unready: (looks += 1) > 1 ? 'gone' : null }) }
  const ready = openReadiness({
    log: { health: () => ({ state: 'ok' }) },
    vault,
    database: openDatabase(':memory:'),
    isLeaving: () => false,
    nowMs: () => nowMs,
  })
  await ready()
  nowMs = 1_000
  expect(await ready()).toMatchObject({ ready: true })
  nowMs = 10_000
  expect(await ready()).toMatchObject({ ready: false })
})
