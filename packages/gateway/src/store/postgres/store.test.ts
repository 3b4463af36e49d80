import { afterAll, afterEach, beforeAll } from 'vitest'
import { testRequests } from '../../../../../tests/conformance/requests.ts'
import { testStore } from '../../../../../tests/conformance/store.ts'
import { startPostgres, type PostgresServer } from '../../../../../tests/servers/postgres.ts'
import type { Store } from '../store.ts'
import { openSharedStore } from './index.ts'

let server: PostgresServer
let count = 0
const opened: Store[] = []
beforeAll(async () => {
  server = await startPostgres()
})
afterAll(() => server.stop())
afterEach(async () => {
  await Promise.all(opened.splice(0).map(async (store) => store.close()))
})

async function makeDatabase(): Promise<string> {
  const name = `store_${count++}`
  await server.query(`CREATE DATABASE ${name}`)
  return server.url(name)
}

async function open(url: string, gate: string, leaseMs = 4_000): Promise<Store> {
  const store = await openSharedStore({ url, gate, leaseMs, report: () => undefined })
  opened.push(store)
  return store
}

testStore('the shared store', async () => {
  const url = await makeDatabase()
  return { one: await open(url, 'one'), other: await open(url, 'other') }
})

testRequests('the shared store', async () => {
  const url = await makeDatabase()
  // The first is not closed: what a process finds that starts after a kill -9, once the lease of the life before is over.
  const leaseMs = 300
  const { requests } = await open(url, 'gate', leaseMs)
  return { requests, reopen: async () => (await open(url, 'gate', leaseMs)).requests }
})
