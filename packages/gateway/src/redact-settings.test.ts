import { expect, test } from 'vitest'
import { acceptedRedactOf, findRedactWidenings, redactSchema } from './redact-settings.ts'

test('a mark is a column of a table, or a table or view', () => {
  for (const good of ['customers.email', 'shop.customers.email', 'people_view'])
    expect(redactSchema.safeParse([good]).success).toBe(true)
  for (const bad of ['', 'a.b.c.d', 'customers.', "x'", '*', 'customers.*', 'a b'])
    expect(redactSchema.safeParse([bad]).success, bad).toBe(false)
})

test('to mark more, and to mark less, both take people', () => {
  const of = (redact: readonly string[]): ReturnType<typeof acceptedRedactOf> =>
    acceptedRedactOf({ upstreams: [{ name: 'db', redact }] })
  expect(findRedactWidenings(of(['a.b']), of(['a.b']))).toEqual([])
  expect(findRedactWidenings(of(['a.b']), of([]))).toEqual(['upstreams: the log shows values of a.b of db'])
  expect(findRedactWidenings(of([]), of(['c.d']))).toEqual(['upstreams: the log no longer shows values of c.d of db'])
  expect(findRedactWidenings(of(['a.b']), of(['c.d']))).toHaveLength(2)
})
