import { expect, it } from 'vitest'
import { findWitnessWidenings, witnessesSchema } from './witness-settings.ts'

const first = { url: 'https://one.example/w', key: 'one.example+0123abcd+BAAA' }
const second = { url: 'https://two.example/w', key: 'two.example+0123abcd+BAAA' }

it('more cosignatures than witnesses are a mistake, and the vault is one', () => {
  expect(witnessesSchema.parse({})).toEqual({ needed: 1, by: [] })
  expect(witnessesSchema.safeParse({ needed: 2 }).success).toBe(false)
  expect(witnessesSchema.parse({ needed: 2, by: [first] })).toMatchObject({ needed: 2 })
  expect(witnessesSchema.safeParse({ by: [{ ...first, key: 'none' }] }).success).toBe(false)
})

it('fewer eyes on the log are a widening, more are not', () => {
  const both = witnessesSchema.parse({ needed: 3, by: [first, second] })
  const one = witnessesSchema.parse({ needed: 2, by: [first] })
  expect(findWitnessWidenings(one, both)).toEqual([])
  expect(findWitnessWidenings(both, one)).toEqual([
    'witnesses: two.example is asked no longer',
    'witnesses: 2 cosignatures are enough, not 3',
  ])
})
