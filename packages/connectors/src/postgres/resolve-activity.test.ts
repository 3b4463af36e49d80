import { expect, it } from 'vitest'
import { sayActivity } from './resolve-activity.ts'

it('says in words whether tables are in use', () => {
  const said = (written: number, scans: number, readSeconds: number | null): string =>
    sayActivity({ written, scans, readSeconds, tables: 1 })
  expect(said(0, 0, null)).toBe('; not read or written since the server began to count')
  expect(said(1, 0, null)).toBe('; never read, 1 row written since the server began to count')
  expect(said(1_204, 7, 4.2)).toBe('; last read 4 s ago, 1,204 rows written since the server began to count')
  expect(said(2, 1, null)).toBe('; read 1 time, 2 rows written since the server began to count')
  expect(said(0, 9, 600)).toContain('last read 10 min ago')
  expect(said(0, 9, 86_400)).toContain('last read 24 h ago')
  expect(said(0, 9, 864_000)).toContain('last read 10 days ago')
  expect(said(0, 9, -3)).toContain('last read 0 s ago')
  expect(sayActivity(null)).toBe('')
  expect(sayActivity({ written: null, scans: null, readSeconds: null, tables: 1 })).toBe('')
})
