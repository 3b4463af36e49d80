import { describe, expect, it } from 'vitest'
import { makeQuestion } from '../../../tests/fakes/people.ts'
import { approvalOf } from '../../../tests/fakes/ports.ts'
import type { AccessRequest, AskedOperation, Question } from './access-request.ts'
import { findRoutines, type Relief, type Routine } from './routine.ts'

const nowMs = 1_700_000_000_000
const [drop] = makeQuestion().operations
if (drop === undefined) throw new Error('the question of tests has no operation')
const removed: AskedOperation = { ...drop, action: 'postgres.delete', rows: 3000, tables: [], dependants: [] }
const rows: Partial<Question> = { copy: 'rows', operations: [removed], guards: ['destroy-needs-person'], rowsMax: 3300 }

function widen(...scopes: readonly string[]): Partial<Question> {
  const operations = scopes.map((name): AskedOperation => ({
    ...removed,
    action: 'sallyport.widen_scope',
    kind: 'escalate',
    reversible: true,
    rows: null,
    resources: [{ type: 'scope', name, identity: null, schemaHash: null }],
  }))
  return { protocol: 'sallyport', copy: 'none', operations, guards: ['widening-needs-people'] }
}

/** So many of the same, all approved, the last of them changed. */
function ask(count: number, question: Partial<Question>, last: Partial<AccessRequest> = {}): readonly AccessRequest[] {
  return Array.from({ length: count }, (_, index) => {
    const made: AccessRequest = {
      id: `r${index}`,
      nonce: 'n',
      session: 's',
      question: { ...makeQuestion(), text: `DELETE ${index}`, digest: String(index), ...question },
      state: 'approved',
      approvals: [],
      createdAtMs: nowMs - (count - index) * 60_000,
      expiresAtMs: nowMs + 3_600_000,
      notBeforeMs: nowMs,
      endedBy: null,
    }
    return { ...made, approvals: [approvalOf(made, 'bob')], ...(index === count - 1 ? last : {}) }
  })
}

const only = (requests: readonly AccessRequest[], inForce = 1000): Routine => {
  const [first, ...more] = findRoutines(requests, nowMs, inForce)
  if (first === undefined || more.length > 0) throw new Error(`${more.length + 1} routines`)
  return first
}
const reliefOf = (requests: readonly AccessRequest[], inForce?: number): Relief => only(requests, inForce).relief

describe('the same question, always answered yes', () => {
  it('is one routine whatever its values; other things, other agents and other places are others', () => {
    const routine = only(ask(14, rows))
    expect(routine).toMatchObject({ asked: 14, approved: 14, waiting: 0, actions: ['postgres.delete'], kind: 'destroy' })
    const changed = {
      ...rows,
      operations: [
        { ...removed, resources: [{ type: 'table', name: 'public.orders', identity: 'another oid', schemaHash: null }] },
      ],
    }
    const others = [
      ask(2, rows),
      ask(3, changed),
      ask(4, { ...rows, upstream: 'billing' }),
      ask(5, { ...rows, subject: { agent: 'x', owner: 'ada' } }),
    ]
    expect(findRoutines(others.flat(), nowMs, 1000).map(({ asked }) => asked)).toEqual([5, 4, 3, 2])
  })

  it('gets undo instead of a prompt, up to the rows that people said yes to', () => {
    expect(reliefOf(ask(5, rows))).toEqual({ kind: 'rows', rows: 3000 })
    expect(reliefOf(ask(5, rows), 3000).kind).toBe('none')
  })

  it('gets what it asks for a time written down, when it only reads and writes', () => {
    expect(reliefOf(ask(6, widen('read billing', 'write billing')))).toEqual({
      kind: 'scope',
      lines: ['read billing', 'write billing'],
    })
  })
})

describe('nothing is suggested', () => {
  const broken = { approvals: [{ ...approvalOf(ask(1, rows)[0] ?? never(), 'bob'), breakGlass: true as const }] }
  const limited = {
    approvals: [{ ...approvalOf(ask(1, rows)[0] ?? never(), 'bob'), conditions: { rowsMax: 5, notBeforeMs: null } }],
  }

  it.each<[string, readonly AccessRequest[]]>([
    ['before it was asked five times', ask(4, rows)],
    ['while the fifth waits', ask(5, rows, { state: 'pending' })],
    ['after one no', ask(9, rows, { state: 'rejected' })],
    ['after one that nobody answered', ask(9, rows, { state: 'expired' })],
    ['after one that ran out unnoticed', ask(9, rows, { state: 'pending', expiresAtMs: nowMs - 1 })],
    ['after one that was cancelled', ask(9, rows, { state: 'cancelled' })],
    ['after one yes, but', ask(9, rows, limited)],
    ['after somebody broke glass', ask(9, rows, broken)],
    ['after one that only a plan let run', ask(9, rows, { approvals: [] })],
    ['for a plan', ask(9, { ...rows, steps: [] })],
    ['for a destroy that only a table’s copy undoes', ask(9, { ...rows, copy: 'tables' })],
    ['for a destroy without a copy', ask(9, { ...rows, copy: 'impossible' })],
    ['for a destroy behind a restore point', ask(9, { ...rows, copy: 'restore_point' })],
    ['for rows that were not counted', ask(9, { ...rows, operations: [{ ...removed, rows: null }] })],
    ['for more rows than anybody reads', ask(9, { ...rows, operations: [{ ...removed, rows: 10_001 }] })],
    ['for what another guard asks about', ask(9, { ...rows, guards: ['destroy-needs-person', 'of-our-own'] })],
    ['for the unreadable', ask(9, { ...rows, operations: [{ ...removed, kind: 'unknown' }] })],
    ['for access and protections', ask(9, { ...rows, operations: [{ ...removed, kind: 'escalate' }] })],
    ['for what cannot be taken back', ask(9, { ...rows, operations: [{ ...removed, kind: 'write' }] })],
    ['for scope that destroys', ask(9, widen('any staging'))],
    ['for scope by an action', ask(9, widen('postgres.drop_table staging'))],
    ['for scope that cannot be read', ask(9, widen('read staging\nany production'))],
    ['for scope of which one line is too much', ask(9, widen('read staging', 'destroy staging'))],
  ])('%s', (_name, requests) => expect(reliefOf(requests)).toMatchObject({ kind: 'none', why: expect.stringMatching(/\.$/) }))

  it('of what is older than a month', () => {
    expect(
      findRoutines(
        ask(9, rows).map((one) => ({ ...one, createdAtMs: nowMs - 31 * 86_400_000 })),
        nowMs,
        1000,
      ),
    ).toEqual([])
  })
})

function never(): never {
  throw new Error('there is one')
}
