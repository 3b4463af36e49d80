import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openStateFolder } from './state-folder.ts'

let root: string
let directory: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sp-state-'))
  directory = join(root, 'state')
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const names = ['salt.key', 'operator.token', 'switch.token', 'log.key', 'log.origin']
const modeOf = (path: string): number => statSync(path).mode & 0o777

test('makes a folder and files that only their owner can read', () => {
  const folder = openStateFolder(directory)
  expect(modeOf(directory)).toBe(0o700)
  for (const name of names) expect(modeOf(join(directory, name))).toBe(0o600)
  expect([folder.saltKey.length, folder.logSeed.length]).toEqual([32, 32])
  expect(folder.operatorToken).toMatch(/^[0-9a-f]{64}$/)
  expect(folder.origin).toMatch(/^sallyport\/[0-9a-f]{16}$/)
})

test('finds the same again, and another folder has others', () => {
  const first = openStateFolder(directory)
  expect(openStateFolder(directory)).toEqual(first)
  const other = openStateFolder(join(root, 'other'))
  expect(
    new Set([first.operatorToken, other.operatorToken, first.logSeed.toString('hex'), other.logSeed.toString('hex')]).size,
  ).toBe(4)
})

test('closes a folder that others can list or write to', () => {
  openStateFolder(directory)
  chmodSync(directory, 0o777)
  openStateFolder(directory)
  expect(modeOf(directory)).toBe(0o700)
})

test('leaves a folder alone that others may only pass through: the vault lives in it', () => {
  openStateFolder(directory)
  chmodSync(directory, 0o711)
  openStateFolder(directory)
  expect(modeOf(directory)).toBe(0o711)
})

test.each(names)('does not start on a %s that others can read, and does not quote it', (name) => {
  openStateFolder(directory)
  const path = join(directory, name)
  chmodSync(path, 0o640)
  const secret = readFileSync(path, 'utf8')
  expect(() => openStateFolder(directory)).toThrow(
    expect.objectContaining({
      code: 'store_unavailable',
      next: expect.not.stringContaining(secret),
      message: expect.not.stringContaining(secret),
    }),
  )
})

test('never overwrites what is there', () => {
  openStateFolder(directory)
  const mine = '5'.repeat(64)
  writeFileSync(join(directory, 'operator.token'), mine)
  expect(openStateFolder(directory).operatorToken).toBe(mine)
})

test('a start that was cut off while it made them leaves no half file under its name', () => {
  openStateFolder(directory)
  rmSync(join(directory, 'operator.token'))
  writeFileSync(join(directory, 'operator.token.next'), 'half')
  expect(openStateFolder(directory).operatorToken).toMatch(/^[0-9a-f]{64}$/)
  expect(readdirSync(directory).toSorted()).toEqual(names.toSorted())
})

test.each(['salt.key', 'log.key'])('does not start on a %s that a crash or a hand cut short', (name) => {
  openStateFolder(directory)
  for (const text of ['', 'abcd', 'z'.repeat(64), 'ab'.repeat(31)]) {
    writeFileSync(join(directory, name), text)
    expect(() => openStateFolder(directory)).toThrow(expect.objectContaining({ code: 'store_unavailable' }))
  }
})

test.each(['operator.token', 'log.origin'])('does not start on an empty %s', (name) => {
  openStateFolder(directory)
  writeFileSync(join(directory, name), '')
  expect(() => openStateFolder(directory)).toThrow(expect.objectContaining({ code: 'store_unavailable' }))
})
