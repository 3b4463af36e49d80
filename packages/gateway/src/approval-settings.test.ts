import { expect, test } from 'vitest'
import { acceptedApprovalsOf, findApprovalWidenings, quorumOf } from './approval-settings.ts'
import { parseConfig } from './config.ts'

const file = (more: string): string => `version: 1
upstreams:
  orders-db: { protocol: postgres, use: "env:U" }
agents: {}
${more}`

function read(more: string): Parameters<typeof quorumOf>[0] {
  const parsed = parseConfig(file(more), 'sallyport.yaml')
  if (!parsed.ok) throw new Error(parsed.mistakes.map(({ what }) => what).join('; '))
  return parsed.config
}

test('who approves where', () => {
  const config = read('groups: { dba: [ada, Grace] }\napprovals: { orders-db: { from: dba, count: 2 } }')
  expect(quorumOf(config)('orders-db')).toEqual({ group: 'dba', members: ['ada', 'Grace'], count: 2 })
  expect(quorumOf(config)('constructor')).toBeNull()
})

test.each([
  ['no such upstream', 'groups: { dba: [ada] }\napprovals: { order-db: { from: dba } }', 'no upstream is called "order-db"'],
  ['no such group', 'groups: { dba: [ada] }\napprovals: { orders-db: { from: dbas } }', 'no group is called "dbas"'],
  ['too few people', 'groups: { dba: [ada, grace] }\napprovals: { orders-db: { from: dba, count: 3 } }', 'who are 2'],
  ['one person twice', 'groups: { dba: [ada, "ADA "] }\napprovals: { orders-db: { from: dba, count: 2 } }', 'who are 1'],
  ['an empty group', 'groups: { dba: [] }', 'at least one person'],
])('%s is said before anything starts', (_name, more, what) => {
  const parsed = parseConfig(file(more), 'sallyport.yaml')
  expect(parsed.ok ? '' : parsed.mistakes.map((mistake) => mistake.what).join('; ')).toContain(what)
})

test('fewer who have to approve, and more who may, are widenings; the rest is not', () => {
  const of = (more: string): ReturnType<typeof acceptedApprovalsOf> => acceptedApprovalsOf(read(more))
  const before = of('groups: { dba: [ada, grace] }\napprovals: { orders-db: { from: dba, count: 2 } }')
  const widenings = (more: string): readonly string[] => findApprovalWidenings(before, of(more))
  expect(widenings('')).toHaveLength(1)
  expect(widenings('groups: { dba: [ada, grace] }\napprovals: { orders-db: { from: dba, count: 1 } }')).toHaveLength(1)
  expect(widenings('groups: { dba: [ada, grace, eve] }\napprovals: { orders-db: { from: dba, count: 2 } }')[0]).toContain('eve')
  // Another group with other people is more people, whatever it is called.
  expect(widenings('groups: { ops: [eve, trudy] }\napprovals: { orders-db: { from: ops, count: 2 } }')[0]).toContain('eve, trudy')
  expect(widenings('groups: { dba: [GRACE, ada] }\napprovals: { orders-db: { from: dba, count: 2 } }')).toEqual([])
  expect(findApprovalWidenings(of(''), before)).toEqual([])
})
