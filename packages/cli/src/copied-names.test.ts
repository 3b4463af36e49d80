import { expect, test } from 'vitest'
import { describeCopied } from './copied-names.ts'

test.each([
  [['public.orders', 'public.lines'], 'public.orders, public.lines'],
  [['v-1/public.orders', 'v-1/public.lines'], 'volume v-1 with public.orders, public.lines'],
  [['v-1/a', 'v-2/a'], 'volume v-1 with a; volume v-2 with a'],
  [[], ''],
])('%j', (names, words) => {
  expect(describeCopied(names)).toBe(words)
})
