import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findMemoryFolder } from './memory-folder.ts'

test('where there is no such folder, or too little memory for what lies in it, temporary files go where they always do', () => {
  expect(findMemoryFolder(join(tmpdir(), 'not-there'), 2 ** 40)).toBe(tmpdir())
  expect(findMemoryFolder('/', 2 ** 20)).toBe(tmpdir())
})
