import fc from 'fast-check'
import { buildSchema, executeSync, parse } from 'graphql'
import { describe as suite, expect, test } from 'vitest'
import type { Describers, Json } from '@sallyport/core'
import { describe } from './describe.ts'

/** A part of the API that the reference implementation of GraphQL can run, with resolvers that only take notes. */
const schema = buildSchema(`
  type Query { me: User platformStatus: PlatformStatus }
  type User { id: ID name: String }
  type PlatformStatus { isStable: Boolean }
  type Mutation {
    volumeDelete(volumeId: String!): Boolean
    projectDelete(id: String!): Boolean
    deploymentStop(id: String!): Boolean
    cloudAgentWake(id: ID!): CloudAgent
  }
  type CloudAgent { id: ID name: String }
`)

const ask: Describers = { describe: () => Promise.resolve([]) }

/** What the reference runs without validating first: servers that validate run less. Null when it runs nothing at all. */
function runReference(query: string, variables: { readonly [key: string]: unknown }, operationName: string | null): Set<string> {
  const ran = new Set<string>()
  const note = (field: string) => (given: { readonly volumeId?: string; readonly id?: string }) => {
    ran.add(`railway.${field} ${given.volumeId ?? given.id ?? ''}`.trim())
    return {}
  }
  const rootValue = Object.fromEntries(
    ['me', 'platformStatus', 'volumeDelete', 'projectDelete', 'deploymentStop', 'cloudAgentWake'].map((field) => [
      field,
      note(field),
    ]),
  )
  try {
    executeSync({ schema, document: parse(query), rootValue, variableValues: variables, operationName })
  } catch {
    return new Set()
  }
  return ran
}

const flag = fc.constantFrom('true', 'false', '$yes', '$no', '$absent', '$defaulted')
const directive = fc.oneof(
  { weight: 3, arbitrary: fc.constant('') },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constantFrom('skip', 'include'), flag).map(([name, condition]) => ` @${name}(if: ${condition})`),
  },
  { weight: 1, arbitrary: fc.tuple(flag, flag).map(([one, other]) => ` @skip(if: ${one}) @include(if: ${other})`) },
)
const volume = fc.constantFrom('"v1"', '"v2"', '$v', '$w', '"""v3"""')
const alias = fc.constantFrom('', 'a: ', 'me: ', 'volumeDelete: ', 'b: ')
const leaf = (isMutation: boolean): fc.Arbitrary<string> =>
  isMutation
    ? fc
        .tuple(alias, fc.constantFrom('volumeDelete(volumeId: ', 'projectDelete(id: ', 'deploymentStop(id: '), volume)
        .map(([name, field, value]) => `${name}${field}${value})`)
    : fc.tuple(alias, fc.constantFrom('me { id }', 'platformStatus { isStable }')).map((parts) => parts.join(''))

function selection(isMutation: boolean): fc.Arbitrary<string> {
  const root = isMutation ? 'Mutation' : 'Query'
  const { set } = fc.letrec<{ set: string; node: string }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 3 },
      fc
        .tuple(leaf(isMutation), directive)
        .map(([field, held]) => (field.endsWith('}') ? field.replace(' {', `${held} {`) : field + held)),
      fc.tuple(fc.constantFrom(`...${root}1`, `...${root}2`), directive).map((parts) => parts.join('')),
      fc.tuple(fc.constantFrom('...', `... on ${root}`), directive, tie('set')).map((parts) => parts.join(' ')),
    ),
    set: fc.array(tie('node'), { minLength: 1, maxLength: 3 }).map((nodes) => `{ ${nodes.join(' ')} }`),
  }))
  return set
}

const declared =
  '($yes: Boolean = true, $no: Boolean = false, $absent: Boolean, $defaulted: Boolean = true, $v: String = "v4", $w: String)'
const documents = fc.record({
  operations: fc.array(
    fc.boolean().chain((isMutation) => selection(isMutation).map((set) => ({ isMutation, set }))),
    { minLength: 1, maxLength: 3 },
  ),
  // the second may spread the first: no circles
  fragments: fc.tuple(leaf(true), leaf(true), leaf(false), fc.boolean(), directive),
  name: fc.constantFrom(null, '', 'O0', 'O1', 'O9'),
  anonymous: fc.boolean(),
  variables: fc.record(
    {
      defaulted: fc.constantFrom<Json>(true, false, null),
      yes: fc.boolean(),
      v: fc.constantFrom('v5', 'v6'),
      w: fc.constant('v7'),
    },
    { requiredKeys: [] },
  ),
})

suite('the reference implementation', () => {
  test('runs nothing that was not described, with the arguments that were described', async () => {
    let ranSomething = 0
    let wasExact = 0
    await fc.assert(
      fc.asyncProperty(documents, async ({ operations, fragments, name, anonymous, variables }) => {
        const [first, second, query, isNested, held] = fragments
        const text = [
          ...operations.map(
            ({ isMutation, set }, index) =>
              `${isMutation ? 'mutation' : 'query'}${anonymous && operations.length === 1 ? '' : ` O${index}`}${declared} ${set}`,
          ),
          `fragment Mutation1 on Mutation { ${first} }`,
          `fragment Mutation2 on Mutation { ${second} ${isNested ? `...Mutation1${held}` : ''} }`,
          `fragment Query1 on Query { ${query} }`,
          `fragment Query2 on Query { ...Query1 }`,
        ].join('\n')
        const body = JSON.stringify({ query: text, variables, operationName: name })
        const described = await describe(
          {
            method: 'POST',
            url: 'https://backboard.railway.com/graphql/v2',
            headers: { 'content-type': 'application/json' },
            body,
          },
          ask,
        )
        if (described.some(({ action }) => action === 'railway.unreadable')) return
        const told = new Set(described.map(({ action, resources }) => `${action} ${resources[0]?.name ?? ''}`.trim()))
        const ran = runReference(text, variables, name)
        if (ran.size > 0) ranSomething += 1
        if (ran.size > 0 && ran.size === told.size) wasExact += 1
        for (const field of ran) expect([...told], text).toContain(field)
      }),
      { numRuns: 3_000 },
    )
    // were nothing run, or everything told always, the property would say nothing
    expect(ranSomething).toBeGreaterThan(500)
    expect(wasExact).toBeGreaterThan(300)
  })
})
