import { expect, test } from 'vitest'
import { casesOf, roundsOf } from './breadth.ts'

const ten = Array.from({ length: 10 }, (_, index) => index)

test('a long run has every case, a short one so many, evenly spaced, with both ends', () => {
  expect(casesOf(ten, 3, 'long')).toEqual(ten)
  expect(casesOf(ten, 4, 'short')).toEqual([0, 3, 6, 9])
  expect(casesOf(ten, 1, 'short')).toEqual([0])
  expect(casesOf(ten, 0, 'short')).toEqual([])
  for (const count of ten) expect(casesOf(ten, count, 'short')).toHaveLength(count)
  for (const count of [10, 11]) expect(casesOf(ten, count, 'short')).toEqual(ten)
})

test('rounds, likewise', () => {
  expect([roundsOf(400, 40, 'long'), roundsOf(400, 40, 'short')]).toEqual([400, 40])
})
