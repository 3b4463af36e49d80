import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findMissingPrograms, installLine } from './machine.ts'

let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-machine-'))
  for (const place of ['bin', '15/bin']) mkdirSync(join(folder, place), { recursive: true })
  for (const file of ['bin/psql', 'bin/broken', '15/bin/initdb']) writeFileSync(join(folder, file), '')
  chmodSync(join(folder, 'bin/psql'), 0o755)
  chmodSync(join(folder, '15/bin/initdb'), 0o755)
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('a program that is not there, or cannot be run, is missing', () => {
  const programs = ['psql', 'broken', 'absent'].map((name) => ({ name, debianPackage: name }))
  expect(findMissingPrograms(programs, `:${join(folder, 'bin')}`).map(({ name }) => name)).toEqual(['broken', 'absent'])
})

test('what does as well is enough', () => {
  const programs = ['psql', 'broken'].map((instead) => ({ name: 'absent', debianPackage: 'absent', instead }))
  expect(findMissingPrograms(programs, join(folder, 'bin'))).toEqual([programs[1]])
})

test('a server is looked for in the folder of its versions', () => {
  const programs = ['initdb', 'postgres'].map((name) => ({ name, debianPackage: 'postgresql', versionedFolder: folder }))
  expect(findMissingPrograms(programs, '').map(({ name }) => name)).toEqual(['postgres'])
  expect(
    findMissingPrograms([{ name: 'initdb', debianPackage: 'postgresql', versionedFolder: join(folder, 'none') }], ''),
  ).toHaveLength(1)
})

test('one line installs all, each package once, and a browser gets letters to draw', () => {
  const missing = [
    { name: 'pgbench', debianPackage: 'postgresql' },
    { name: 'initdb', debianPackage: 'postgresql' },
    { name: 'chromium-headless-shell', debianPackage: 'chromium-headless-shell' },
  ]
  expect(installLine(missing)).toBe(
    'apt-get update && apt-get install -y --no-install-recommends chromium-headless-shell fonts-dejavu-core fonts-inter postgresql',
  )
})
