import { expect, test } from 'vitest'
import { checkStartup, readStartup } from './startup.ts'
import { int32, startupMessage } from './wire.ts'

const start = (pairs: readonly (readonly [string, string])[]): ReturnType<typeof checkStartup> =>
  checkStartup(new Map([['user', 'robot'], ...pairs]))

test.each([
  [['standard_conforming_strings', 'off']],
  [['Standard_Conforming_Strings', 'off']],
  [['client_encoding', 'SJIS']],
  [['search_path', 'evil']],
  [['role', 'postgres']],
  [['session_authorization', 'postgres']],
  [['replication', 'database']],
  [['replication', 'true']],
  [['options', '-c search_path=evil']],
  [['options', '-csearch_path=evil']],
  [['options', '--search-path=evil']],
  [['options', '-c DateStyle=ISO -c role=postgres']],
  [['options', '-c standard_conforming_strings=off']],
  [['options', '-c standard_conforming_strings=o\\ff']],
  [['options', '-d 5']],
  [['options', 'x']],
  [['session_preload_libraries', 'x']],
] as const)('refuses %j', (pair) => expect(start([pair]).kind).toBe('refused'))

test('accepts what clients send', () => {
  const accepted = start([
    ['database', 'orders'],
    ['application_name', 'psql'],
    ['client_encoding', 'UTF8'],
    ['DateStyle', 'ISO'],
    ['TimeZone', 'Europe/Berlin'],
    ['extra_float_digits', '2'],
    ['replication', 'false'],
    ['options', '-c statement_timeout=5s -c application_name=a\\ b'],
    ['_pq_.feature', '1'],
  ])
  expect(accepted).toMatchObject({ kind: 'accepted', database: 'orders', protocolOptions: ['_pq_.feature'] })
  expect(accepted.kind === 'accepted' && accepted.settings.get('application_name')).toBe('a b')
})

test('a setting given twice in different case is garbage', () => {
  const packet = startupMessage(
    new Map([
      ['user', 'a'],
      ['TimeZone', 'UTC'],
      ['timezone', 'UTC'],
    ]),
  )
  expect(readStartup(packet).kind).toBe('garbage')
})

test('impossible lengths and versions are garbage at once', () => {
  expect(readStartup(Buffer.from('GET / HTTP/1.1\r\n\r\n')).kind).toBe('garbage')
  expect(readStartup(Buffer.concat([int32(2_000_000_000), int32(196_608)])).kind).toBe('garbage')
  expect(readStartup(Buffer.concat([int32(-5), int32(196_608)])).kind).toBe('garbage')
  expect(readStartup(Buffer.concat([int32(20), int32(131_072)])).kind).toBe('garbage')
  expect(readStartup(int32(20)).kind).toBe('incomplete')
})
