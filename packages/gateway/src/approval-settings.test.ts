import { expect, test } from 'vitest'
import { acceptedApprovalsOf, findApprovalWidenings, quorumOf } from './approval-settings.ts'
import { parseConfig, type Config } from './config.ts'

const file = (more: string): string => `version: 1
upstreams:
  orders-db: { protocol: postgres, use: "env:U" }
agents: {}
${more}`

const nobody = (): readonly string[] => []

function read(more: string): Config {
  const parsed = parseConfig(file(more), 'sallyport.yaml')
  if (!parsed.ok) throw new Error(parsed.mistakes.map(({ what }) => what).join('; '))
  return parsed.config
}

test('who approves where', async () => {
  const config = read('groups: { dba: [ada, Grace] }\napprovals: { orders-db: { from: dba, count: 2 } }')
  expect(await quorumOf(config, nobody)('orders-db')).toEqual({ group: 'dba', members: ['ada', 'Grace'], count: 2 })
  expect(await quorumOf(config, nobody)('constructor')).toBeNull()
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

const provider = (groups: string): string =>
  `people: { oidc: { issuer: "https://id.example", clientId: sallyport, clientSecret: "env:S"${groups} } }\n`
const ofProvider = 'groups: { dba: { people: [ada], oidc: acme-dba } }\napprovals: { orders-db: { from: dba, count: 3 } }'

test('a group of the provider’s is asked for each time, beside the people who are named', async () => {
  const config = read(`${provider(', groups: { claim: groups }')}${ofProvider}`)
  const asked: string[] = []
  let said: readonly string[] = ['grace']
  const find = quorumOf(config, (group) => {
    asked.push(group)
    return said
  })
  expect(await find('orders-db')).toEqual({ group: 'dba', members: ['ada', 'grace'], count: 3 })
  said = []
  expect(await find('orders-db')).toEqual({ group: 'dba', members: ['ada'], count: 3 })
  expect(asked).toEqual(['acme-dba', 'acme-dba'])
})

test('a group that is only called like the provider’s has nobody of it', async () => {
  const config = read(
    `${provider(', groups: { claim: groups }')}groups: { acme-dba: [ada] }\napprovals: { orders-db: { from: acme-dba } }`,
  )
  const find = quorumOf(config, () => {
    throw new Error('nobody asks the provider here')
  })
  expect((await find('orders-db'))?.members).toEqual(['ada'])
})

test.each([
  ['no provider', ofProvider],
  ['a provider that is asked for no groups', `${provider('')}${ofProvider}`],
])('%s cannot say who is in a group', (_name, more) => {
  const parsed = parseConfig(file(more), 'sallyport.yaml')
  expect(parsed.ok ? [] : parsed.mistakes).toMatchObject([{ what: 'nobody says who is in "acme-dba"' }])
  if (!parsed.ok) expect(file(more).split('\n')[(parsed.mistakes[0]?.line ?? 0) - 1]).toContain('oidc: acme-dba')
})

test('whoever a provider says is in a group approves only after people accepted that', () => {
  const of = (more: string): ReturnType<typeof acceptedApprovalsOf> =>
    acceptedApprovalsOf(read(`${provider(', groups: { claim: groups }')}${more}`))
  const named = of('groups: { dba: [ada, grace] }\napprovals: { orders-db: { from: dba } }')
  const said = (group: string): ReturnType<typeof of> =>
    of(`groups: { dba: { people: [ada, grace], oidc: ${group} } }\napprovals: { orders-db: { from: dba } }`)
  expect(findApprovalWidenings(named, said('acme-dba'))[0]).toContain('in acme-dba approves on orders-db')
  expect(findApprovalWidenings(said('acme-dba'), said('everybody'))[0]).toContain('in everybody approves on orders-db')
  expect(findApprovalWidenings(said('acme-dba'), said('acme-dba'))).toEqual([])
  expect(findApprovalWidenings(said('acme-dba'), named)).toEqual([])
})
