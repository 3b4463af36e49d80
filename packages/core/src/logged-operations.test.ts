import { expect, it } from 'vitest'
import { readLoggedOperations } from './logged-operations.ts'

it('says what each operation did and the worst of them, and nothing of what says nothing', () => {
  const operations = [
    { action: 'postgres.update', kind: 'write' },
    { action: 'postgres.delete', kind: 'destroy' },
    { more: 3, sha256: 'ab'.repeat(32) },
    { action: 'postgres.invented', kind: 'harmless' },
  ]
  expect(readLoggedOperations(operations)).toMatchObject({
    destroys: true,
    worst: 'destroy',
    each: [
      { action: 'postgres.update', kind: 'write' },
      { action: 'postgres.delete', kind: 'destroy' },
    ],
  })
  expect(readLoggedOperations([{ more: 3 }]).worst).toBeNull()
  for (const unread of [undefined, 'DROP', { kind: 'read' }, [1]])
    expect(readLoggedOperations(unread)).toMatchObject({ each: [], worst: null })
})
