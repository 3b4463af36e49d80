import {
  digestJson,
  nameOnVolume,
  type Connector,
  type Operation,
  type Question,
  type Snapshot,
  type Upstream,
} from '@sallyport/core'
import { beforeEach, describe, expect, test } from 'vitest'
import { FakeClock, MemoryLog, MemoryVault, scriptConnector } from '../../../../tests/fakes/ports.ts'
import { makeQuestion } from '../../../../tests/fakes/people.ts'
import { findNewest, openCopies, type CopyPorts } from './copies.ts'

const volume = { upstream: 'cloud', type: 'volume', id: 'v-1' }
const deletion: Operation = {
  action: 'railway.volumeDelete',
  resources: [{ type: 'volume', name: 'v-1' }],
  impact: { kind: 'destroy', reversible: false },
  why: 'deletes it',
  context: {},
}

let log: MemoryLog
let steps: string[]
let connector: Connector
let ports: CopyPorts

beforeEach(() => {
  log = new MemoryLog()
  steps = []
  connector = {
    ...scriptConnector([]),
    losing: (type, id) => (type === 'volume' && id === 'v-1' ? deletion : null),
    resolve: async (operations) =>
      operations.map((operation) => ({ ...operation, copy: { kind: 'tables', tables: ['a'], bytesEstimate: 1 } })),
    snapshot: async () => {
      steps.push('copied')
      return { kind: 'tables', rows: 3, bytes: 30, checksums: { 'v-1/a': 'f'.repeat(64) }, manifest: null }
    },
  }
  const upstream: Upstream = { name: 'cloud', identity: 'account', environment: 'production', access: { kind: 'none' } }
  ports = {
    log,
    clock: new FakeClock(),
    vault: new MemoryVault(),
    retainMs: 1_000,
    withUpstream: async (name, work) => {
      steps.push(`open ${name}`)
      try {
        return await work(upstream, connector)
      } finally {
        steps.push('let go')
      }
    },
  }
})

describe('a copy that nobody needs yet', () => {
  test('is made and sealed under locks that end with it, and is on the log with who asked', async () => {
    const made = await openCopies(ports)(volume, 'operator')
    expect(made).toMatchObject({ upstream: 'cloud', rows: 3, digest: digestJson({ v: 1, purpose: 'sallyport copy', ...volume }) })
    expect(steps).toEqual(['open cloud', 'copied', 'let go'])
    expect(log.events).toMatchObject([{ type: 'snapshot.sealed', data: { snapshot: made.id, by: 'operator', rows: 3 } }])
  })

  test('a thing that is no volume, or that no copy can be made of, is refused with the reason', async () => {
    await expect(openCopies(ports)({ ...volume, type: 'project' }, 'operator')).rejects.toMatchObject({ code: 'not_supported' })
    await expect(openCopies(ports)({ ...volume, id: 'v-2' }, 'operator')).rejects.toMatchObject({ code: 'not_supported' })
    connector = {
      ...connector,
      resolve: async (operations) =>
        operations.map((operation) => ({
          ...operation,
          copy: { kind: 'impossible', reason: 'it is tied to nothing', remedy: 'Tie it.' },
        })),
    }
    await expect(openCopies(ports)(volume, 'operator')).rejects.toMatchObject({ code: 'no_copy_possible', next: 'Tie it.' })
    expect(steps.filter((step) => step === 'copied')).toEqual([])
  })

  test('one that fails is on the log, and the next one is made', async () => {
    const whole = connector
    connector = { ...connector, snapshot: async () => Promise.reject(new Error('the server broke')) }
    const copy = openCopies(ports)
    const [failed] = await Promise.allSettled([copy(volume, 'operator')])
    connector = whole
    expect(failed?.status).toBe('rejected')
    expect(log.types()).toEqual(['snapshot.failed'])
    expect(await copy(volume, 'operator')).toMatchObject({ rows: 3 })
    expect(steps.filter((step) => step === 'let go')).toHaveLength(2)
  })
})

describe('the newest copy that people are told of', () => {
  const snapshot: Snapshot = {
    id: 'a'.repeat(64),
    kind: 'tables',
    upstream: 'orders-db',
    upstreamIdentity: 'system:1',
    digest: 'd'.repeat(64),
    madeAtMs: 10,
    rows: 1,
    bytes: 1,
    checksums: {},
    retainUntilMs: 1,
  }
  const question: Question = makeQuestion()
  const tables = question.operations.flatMap((operation) => operation.tables)
  const sums = Object.fromEntries(tables.map((table) => [table, 'x']))

  test('holds everything that would be lost: one of another table, of fewer, of rows or of another upstream is none', () => {
    const whole = { ...snapshot, checksums: { ...sums, 'public.more': 'x' } }
    expect(findNewest([whole], question)).toBe(whole)
    const [, ...fewer] = tables
    const partly = { ...snapshot, checksums: Object.fromEntries(fewer.map((table) => [table, 'x'])) }
    for (const other of [snapshot, partly, { ...whole, kind: 'rows' as const }, { ...whole, upstream: 'staging' }])
      expect(findNewest([other], question)).toBe(null)
    const newer = { ...whole, madeAtMs: 20 }
    expect(findNewest([newer, whole, { ...partly, madeAtMs: 30 }], question)).toBe(newer)
  })

  test('of a volume is of that volume', () => {
    const [operation] = question.operations
    if (operation === undefined) throw new Error('the example has an operation')
    const asked = {
      ...question,
      operations: [{ ...operation, resources: [{ type: 'volume', name: 'data (v-1)', identity: 'v-1', schemaHash: null }] }],
    }
    const of = (id: string): Snapshot => ({
      ...snapshot,
      checksums: Object.fromEntries(operation.tables.map((table) => [nameOnVolume(id, table), 'x'])),
    })
    expect(findNewest([of('v-2')], asked)).toBe(null)
    expect(findNewest([{ ...snapshot, checksums: sums }], asked)).toBe(null)
    expect(findNewest([of('v-1')], asked)).toMatchObject({ madeAtMs: 10 })
  })
})
