import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openCanaries } from './canaries.ts'

let folder: string
let file: string
let problems: string[]
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sp-canaries-'))
  file = join(folder, 'canaries.json')
  problems = []
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const one = 'a'.repeat(64)
const other = 'b'.repeat(64)
const write = (...digests: readonly string[]): void =>
  writeFileSync(
    file,
    JSON.stringify({
      version: 1,
      canaries: digests.map((sha256) => ({ sha256, file: `/planted/${sha256[0]}`, host: 'h', plantedAtMs: 1 })),
    }),
  )
const open = (): ReturnType<typeof openCanaries> => openCanaries(file, (problem) => problems.push(problem))

test('no file is no canary; one that is planted later is known at the next question, and one that is removed no more', () => {
  const canaries = open()
  expect(canaries.isEmpty).toBe(true)
  write(one)
  expect(canaries.find(one)).toMatchObject({ file: '/planted/a' })
  write(one, other)
  expect(canaries.find(other)).toMatchObject({ file: '/planted/b' })
  rmSync(file)
  expect(canaries.find(one)).toBeNull()
  expect(problems).toEqual([])
})

test.each([
  ['no JSON', (): void => writeFileSync(file, '{')],
  ['another version', (): void => writeFileSync(file, '{"version":2,"canaries":[]}')],
  ['no digest', (): void => writeFileSync(file, '{"version":1,"canaries":[{"sha256":"x","file":"f","host":"h"}]}')],
  ['too many', (): void => write(...Array.from({ length: 1_001 }, () => one))],
  ['too large', (): void => writeFileSync(file, ' '.repeat(8 * 1024 * 1024 + 1))],
  ['a link', (): void => symlinkSync(join(folder, 'elsewhere.json'), file)],
  ['a folder', (): void => mkdirSync(file)],
])('%s: what was known still rings, and the operator is told once', (_name, spoil) => {
  write(one)
  const canaries = open()
  expect(canaries.isEmpty).toBe(false)
  rmSync(file)
  spoil()
  expect(canaries.find(one)).not.toBeNull()
  expect(canaries.find(one)).not.toBeNull()
  expect(problems).toHaveLength(1)
  rmSync(file, { recursive: true })
  write(other)
  expect(canaries.find(other)).not.toBeNull()
})
