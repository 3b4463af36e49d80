import { describe, expect, test } from 'vitest'
import { challengeOf, type Approval, type Conditions, type Question } from './access-request.ts'
import { boundsOf, findConditionFault } from './condition.ts'

const question: Question = {
  digest: 'd',
  subject: { agent: 'coder', owner: 'ada' },
  protocol: 'postgres',
  upstream: 'orders-db',
  environment: 'production',
  text: 'DELETE FROM orders',
  bindValues: [],
  operations: [],
  rowsMax: 110,
  copy: 'rows',
  approvalsNeeded: 2,
  delayMs: 500,
  guards: [],
  policyHash: 'p',
}
const nowMs = 1_000_000

function yes(person: string, conditions?: Conditions, verdict: 'approve' | 'reject' = 'approve'): Approval {
  const plain = { person, verdict, atMs: nowMs, challenge: '', credentialId: '', evidence: null, reason: '' }
  return conditions === undefined ? plain : { ...plain, conditions }
}

describe('conditions', () => {
  test.each([
    ['nothing in them', { rowsMax: null, notBeforeMs: null }],
    ['more rows than the question allows', { rowsMax: 111, notBeforeMs: null }],
    ['no rows', { rowsMax: 0, notBeforeMs: null }],
    ['half a row', { rowsMax: 1.5, notBeforeMs: null }],
    ['a time that passed', { rowsMax: null, notBeforeMs: nowMs }],
    ['a time too far ahead', { rowsMax: null, notBeforeMs: nowMs + 7 * 24 * 3_600_000 + 1 }],
    ['no time', { rowsMax: null, notBeforeMs: Number.NaN }],
  ])('that cannot be held are refused: %s', (_name, conditions) => {
    expect(findConditionFault(question, conditions, nowMs)).not.toBeNull()
  })

  test('a limit on rows where nothing counts them', () => {
    expect(findConditionFault({ ...question, rowsMax: null }, { rowsMax: 5, notBeforeMs: null }, nowMs)).toContain('Nothing here')
  })

  test('the strictest of all that count holds, and of nobody else', () => {
    const approvals = [
      yes('bob', { rowsMax: 100, notBeforeMs: nowMs + 2000 }),
      yes('eve', { rowsMax: 50, notBeforeMs: null }),
      yes('mallory', { rowsMax: 1, notBeforeMs: nowMs + 9999 }),
      yes('trudy', { rowsMax: 2, notBeforeMs: null }, 'reject'),
    ]
    const bounds = boundsOf({ question, approvals }, ['Bob', 'eve', 'trudy'], nowMs)
    expect(bounds).toEqual({ rowsMax: 50, notBeforeMs: nowMs + 2000 })
    expect(boundsOf({ question, approvals: [yes('bob')] }, ['bob'], nowMs)).toEqual({ rowsMax: 110, notBeforeMs: nowMs + 500 })
  })

  test('each is part of what is signed', () => {
    const request = { id: 'r', nonce: 'n', expiresAtMs: 1, question }
    const all = [
      challengeOf(request, 'approve'),
      challengeOf(request, 'approve', { rowsMax: 1, notBeforeMs: null }),
      challengeOf(request, 'approve', { rowsMax: null, notBeforeMs: 1 }),
      challengeOf(request, 'approve', { rowsMax: 1, notBeforeMs: 1 }),
    ]
    expect(new Set(all).size).toBe(4)
  })
})
