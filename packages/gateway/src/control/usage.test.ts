import type { Event } from '@sallyport/core'
import { expect, test } from 'vitest'
import { Usage } from './usage.ts'

const atMs = 1_800_000_000_000
const drop = { action: 'postgres.drop_table', kind: 'destroy' }
const opened: Event = { type: 'session.opened', atMs, agent: 'coder', session: 's', data: { upstream: 'orders-db' } }
const asked: Event = {
  type: 'request.opened',
  atMs,
  agent: 'coder',
  data: { question: { upstream: 'orders-db', operations: [drop] } },
}
const ran: Event = { type: 'intent', atMs: atMs + 1, agent: 'coder', session: 's', data: { operations: [drop] } }

test('what waits for people is told from what ran', () => {
  const usage = new Usage()
  usage.add(opened)
  usage.add(asked)
  const one = { ...drop, upstream: 'orders-db' }
  expect(usage.of('coder')).toEqual([{ ...one, ran: 0, asked: 1, lastAtMs: atMs }])
  usage.add(ran)
  expect(usage.of('coder')).toEqual([{ ...one, ran: 1, asked: 1, lastAtMs: atMs + 1 }])
})

test('an event that says something else counts for nothing, and another agent has used nothing', () => {
  const usage = new Usage()
  usage.add({ ...ran, data: { operations: 'all of them' } })
  usage.add({ ...asked, data: {} })
  expect(usage.of('coder')).toEqual([])
  usage.add(ran)
  expect(usage.of('helper')).toEqual([])
  expect(usage.of('coder')[0]?.upstream).toBeNull()
})
