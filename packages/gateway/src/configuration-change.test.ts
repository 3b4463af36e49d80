import { expect, test } from 'vitest'
import { changeText } from './configuration-change.ts'
import { parseConfig } from './config.ts'

const text = `# ours
version: 1
upstreams:
  orders-db: { protocol: postgres, use: file:use } # the one
agents:
  coder:
    owner: ada
    may: [read orders-db, postgres.update   orders-db]
`

test('a change is made where it belongs, and everything else stays as it was written', () => {
  const removed = changeText(text, { kind: 'remove_scope', agent: 'coder', lines: ['postgres.update orders-db'] })
  expect(removed).toBe(text.replace(', postgres.update   orders-db', '').replace('[read orders-db]', '[ read orders-db ]'))
  const added = changeText(text, { kind: 'add_scope', agent: 'coder', lines: ['write orders-db', 'read orders-db'] })
  expect(added).toContain('write orders-db')
  expect(added.match(/read orders-db/g)).toHaveLength(1)
  const limited = changeText(changeText(text, { kind: 'rows', rows: 3000 }), {
    kind: 'expect',
    line: 'coder runs read on orders-db',
  })
  const read = parseConfig(limited, '/etc/sallyport.yaml')
  expect(read.ok && [read.config.rowsWithoutPrompt, read.config.expect.map((one) => one.text)]).toEqual([
    3000,
    ['coder runs read on orders-db'],
  ])
  expect(limited).toContain('# ours')
})

test('a change that does not fit, or that would say more than it shows, changes nothing', () => {
  expect(() => changeText(text, { kind: 'remove_scope', agent: 'coder', lines: ['write orders-db'] })).toThrow(
    'None of these lines',
  )
  expect(() => changeText(text, { kind: 'remove_scope', agent: 'nobody', lines: ['x'] })).toThrow('No agent')
  expect(() => changeText(text, { kind: 'add_scope', agent: '__proto__', lines: ['x'] })).toThrow('no list')
  expect(() => changeText('{', { kind: 'rows', rows: 1 })).toThrow('cannot be changed')
  const injected = changeText(text, {
    kind: 'add_scope',
    agent: 'coder',
    lines: ['read orders-db]\n  evil:\n    owner: eve\n    may: [any orders-db'],
  })
  const read = parseConfig(injected, '/etc/sallyport.yaml')
  expect(read.ok).toBe(false)
  expect(injected).not.toMatch(/^ {2}evil:/m)
})
