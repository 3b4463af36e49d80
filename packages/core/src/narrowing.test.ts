import fc from 'fast-check'
import { expect, test } from 'vitest'
import { impactKinds } from './impact.ts'
import { coversScope, isWithin, narrow } from './narrowing.ts'
import type { ResolvedOperation } from './operation.ts'
import type { Scope } from './policy/scope.ts'

const actions = ['postgres.delete', 'postgres.drop_table', 'postgres.drop', 'railway.volumeDelete'] as const
const kindsOf = [['read'], ['read', 'write'], ['destroy'], impactKinds] as const
const upstream = fc.constantFrom('orders-db', 'cloud')
const scopes: fc.Arbitrary<Scope> = fc.oneof(
  fc.record({ kinds: fc.constantFrom(...kindsOf), action: fc.constant(null), upstream }),
  fc.record({
    kinds: fc.constant([]),
    action: fc.constantFrom(...actions, 'postgres.*', 'postgres.drop*', 'postgres.delete*', 'railway.*'),
    upstream,
  }),
)
const operations: fc.Arbitrary<ResolvedOperation> = fc.record({
  action: fc.constantFrom(...actions),
  resources: fc.constant([]),
  impact: fc.record({ kind: fc.constantFrom(...impactKinds), reversible: fc.boolean() }),
  why: fc.constant(''),
  context: fc.constant({}),
  copy: fc.constant({ kind: 'none' } as const),
})

test('what a scope covers permits nothing that it does not permit itself', () => {
  fc.assert(
    fc.property(scopes, scopes, operations, upstream, (outer, inner, operation, where) => {
      if (coversScope(outer, inner) && isWithin([inner], where, operation)) expect(isWithin([outer], where, operation)).toBe(true)
    }),
    { numRuns: 2_000 },
  )
})

test('however often it is narrowed, a handle is within each that it came from', () => {
  fc.assert(
    fc.property(
      fc.array(scopes, { minLength: 1, maxLength: 3 }),
      fc.array(fc.array(scopes, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 }),
      operations,
      upstream,
      (own, wanted, operation, where) => {
        let narrowing = null
        for (const next of wanted) {
          try {
            narrowing = narrow({ agent: 'coder', scopes: own, narrowing }, { scopes: next, actor: 'part', usesMax: null })
          } catch {
            continue
          }
          if (isWithin(narrowing.scopes, where, operation)) expect(isWithin(own, where, operation)).toBe(true)
        }
      },
    ),
    { numRuns: 2_000 },
  )
})
