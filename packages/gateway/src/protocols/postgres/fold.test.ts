import fc from 'fast-check'
import { expect, test } from 'vitest'
import { canChangeMeaning, KeyWriter } from './fold.ts'

const writer = new KeyWriter('p\0')
const key = (sql: string): string | null => {
  const bytes = Buffer.from(sql)
  return writer.write(bytes, 0, bytes.length)
}

test('digits of numbers fold, nothing else does', () => {
  expect(key('select a from t where id = 17')).toBe(key('select a from t where id = 9'))
  expect(key('select 1.5, 22')).toBe(key('select 7.0, 3'))
  expect(key('select 1')).not.toBe(key('select  1'))
})

test.each([
  ['select f1()', 'select f2()'],
  ['select * from t2', 'select * from t3'],
  ['select a_1', 'select a_2'],
  ['select $1', 'select $2'],
  ["select '1'", "select '2'"],
  ['select "t1"', 'select "t2"'],
  ['select 0x1', 'select 0x2'],
  ['select 1e5', 'select 1e6'],
  ['select 1 -- 1', 'select 1 -- 2'],
  ['select /* 1 */ 1', 'select /* 2 */ 1'],
  ['select é1', 'select é2'],
  ['select 123456789', 'select 12345678901'],
  ['select 12345678901', 'select 12345678902'],
  ["select E'\\1'", "select E'\\2'"],
])('%s and %s never share a key', (left, right) => {
  if (key(left) === null || key(right) === null) return
  expect(key(left)).not.toBe(key(right))
})

test.each([
  'set search_path = evil',
  'execute p1',
  'select 1; drop table t',
  "select ';' ; x",
  'discard all',
  'prepare p as select 1',
  'do $$ $$',
  "select set_config('a','b',false)",
  '/* a */ set x=1',
  '/*/* */ select 1',
  `select ${'1,'.repeat(2000)}1`,
  '',
  'deallocate all',
  'declare c cursor for select 1',
  'close c',
])('%s is never remembered', (sql) => expect(key(sql)).toBeNull())

test('two texts with one key differ only in digits of numbers', () => {
  const piece = fc.constantFrom(
    'select',
    ' ',
    '1',
    '23',
    'a',
    'a1',
    '1a',
    '_',
    '.',
    ',',
    '-',
    '--',
    "'",
    '$',
    '"',
    '(',
    ')',
    ';',
    'é',
    '/',
    '\\',
    '9999999999',
    '\n',
    '\t',
    '0',
    '+',
  )
  const text = fc.array(piece, { maxLength: 12 }).map((pieces) => `select ${pieces.join('')}`)
  // The model: a number is a run of at most 9 digits with no identifier byte on either side.
  const model = (sql: string): string => sql.replaceAll(/(?<![A-Za-z0-9_])\d{1,9}(?![A-Za-z0-9_])/g, '0')
  fc.assert(
    fc.property(text, text, (left, right) => {
      if (key(left) === null || key(left) !== key(right)) return true
      const plain = !/['"$/\\`]|--|[^\x01-\x7f]/.test(left)
      return plain ? model(left) === model(right) : left === right
    }),
    { numRuns: 5_000 },
  )
})

test('what can change the meaning of later text', () => {
  expect(canChangeMeaning('select 1', 'read')).toBe(false)
  expect(canChangeMeaning('update t set a = 1', 'write')).toBe(false)
  expect(canChangeMeaning('update t set a = 1; set role x', 'write')).toBe(true)
  expect(canChangeMeaning('insert into t select set_config($1, $2, false)', 'write')).toBe(true)
  expect(canChangeMeaning('insert into t select U&"set\\005fconfig"(1)', 'write')).toBe(true)
  expect(canChangeMeaning('select f()', 'write')).toBe(true)
  expect(canChangeMeaning('set role x', 'read')).toBe(true)
  expect(canChangeMeaning('drop table t', 'destroy')).toBe(true)
  expect(canChangeMeaning('delete from t', 'unknown')).toBe(true)
  expect(canChangeMeaning(' -- x\nselect 1', 'read')).toBe(true)
})
