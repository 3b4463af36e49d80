import { expect, test } from 'vitest'
import { parseConfig, type Config } from './config.ts'
import { bindCodes } from './main/codes.ts'
import { codeRuleOf } from './totp-settings.ts'
import { acceptedOf, findWidenings } from './widening.ts'

const rest = `version: 1
upstreams:
  orders-db: { protocol: postgres, use: file:use }
agents:
  coder: { owner: ada, may: [read orders-db] }
`
const read = (more: string): ReturnType<typeof parseConfig> => parseConfig(`${rest}${more}`, '/etc/sallyport.yaml')
const mistakesOf = (more: string): readonly string[] => {
  const found = read(more)
  return found.ok ? [] : found.mistakes.map(({ line, what, hint }) => `${line}: ${what}; ${hint}`)
}
const configOf = (more: string): Config => {
  const found = read(more)
  if (!found.ok) throw new Error(JSON.stringify(found.mistakes))
  return found.config
}

test('off, unless it is named exactly', () => {
  expect(codeRuleOf(configOf('').totp)).toBeNull()
  expect(codeRuleOf(configOf('totp: { approves: [disrupt, write], in: [staging] }').totp)).toEqual({
    approves: ['write', 'disrupt'],
    environments: ['staging'],
    beside: [],
  })
})

test.each([
  'destroy',
  'escalate',
  'unknown',
  'widening',
  'enrolment',
  'break-glass',
  'release',
  'retention',
  'people',
  'all',
  '*',
])('%s is refused with its line, and why', (kind) => {
  const [mistake, ...others] = mistakesOf(`totp:\n  approves:\n    - write\n    - "${kind}"\n  in: [production]\n`)
  expect(others).toEqual([])
  expect(mistake).toMatch(/^9: .*(never|ever) approves .*bound to no operation.*takes a passkey$/)
})

test.each([
  ['no environment', 'totp: { approves: [write] }', 'totp.in'],
  ['every environment', 'totp: { approves: [write], in: [all] }', 'environments are'],
  ['nothing', 'totp: { approves: [], in: [staging] }', 'or leave totp out'],
  ['another word', 'totp: { approves: [write], in: [staging], always: true }', 'is no setting of totp'],
  ['beside what it does not approve', 'totp: { approves: [write], in: [staging], beside: [disrupt] }', 'approves none of it'],
  ['a shared store without a key', 'store: env:STORE\ntotp: { approves: [write], in: [staging] }', 'totp.key'],
])('%s is a mistake', (_name, more, said) => {
  expect(mistakesOf(more).join('\n')).toContain(said)
})

test('more of it is a widening, less is none', () => {
  const [none, some, more] = [
    '',
    'totp: { approves: [write], in: [staging] }',
    'totp: { approves: [write, disrupt], in: [staging, production], beside: [write] }',
  ].map((text) => acceptedOf(configOf(text)))
  if (none === undefined || some === undefined || more === undefined) throw new Error('three were made')
  expect(findWidenings(none, some)).toEqual(['totp: a one-time code approves in staging', 'totp: a one-time code approves write'])
  expect(findWidenings(some, more)).toEqual([
    'totp: a one-time code approves disrupt',
    'totp: a one-time code approves in production',
    'totp: a one-time code counts as one of several people for write',
  ])
  expect([...findWidenings(more, some), ...findWidenings(some, none)]).toEqual([])
})

test('a key that could be guessed seals nothing', async () => {
  process.env['CODE_KEY_OF_TEST'] = 'short'
  const config = configOf('totp: { approves: [write], in: [staging], key: env:CODE_KEY_OF_TEST }')
  const folder = { saltKey: Buffer.alloc(32) }
  const base = { config, folder }
  await expect(bindCodes(base)).rejects.toThrow('fewer than 32 characters')
  process.env['CODE_KEY_OF_TEST'] = 'x'.repeat(32)
  const sealed = (await bindCodes(base))?.seal({ person: 'ada', id: '1' }, Buffer.from('secret')) ?? ''
  const own = await bindCodes({ ...base, config: { ...config, totp: { approves: ['write'], in: ['staging'], beside: [] } } })
  expect(own?.open({ person: 'ada', id: '1' }, sealed)).toBeNull()
  delete process.env['CODE_KEY_OF_TEST']
})
