import { expect, test } from 'vitest'
import type { InboxRequest } from '../shapes/requests.ts'
import { groupRequests } from './inbox.ts'

const request = (id: string, like: string, state: InboxRequest['state']): InboxRequest => ({
  id,
  like,
  state,
  isAccess: false,
  kind: 'destroy',
  headline: '',
  further: [],
  glance: '',
  agent: 'coder',
  owner: 'ada',
  upstream: 'orders-db',
  environment: 'production',
  approvals: 0,
  approvalsNeeded: 1,
  createdAtMs: 0,
  expiresAtMs: 0,
  notBeforeMs: null,
})
const all = [
  request('1', 'a', 'pending'),
  request('2', 'a', 'pending'),
  request('3', 'b', 'pending'),
  request('4', 'a', 'approved'),
  request('5', 'a', 'rejected'),
  request('6', 'a', 'approved'),
]
const show = (unfolded: readonly string[]): readonly string[] =>
  groupRequests(all, new Set(unfolded)).map(({ request: { id }, further }) => `${id}+${further}`)

test('like requests are one row, and what waits is never behind what is over', () => {
  expect(show([])).toEqual(['1+1', '3+0', '4+1', '5+0'])
  expect(show(['a pending'])).toEqual(['1+1', '2+0', '3+0', '4+1', '5+0'])
})
