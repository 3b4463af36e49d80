import fc from 'fast-check'
import { parse } from 'graphql/language'
import { describe as suite, expect, test } from 'vitest'
import type { Describers, Json, Operation } from '@sallyport/core'
import { describe } from './describe.ts'
import { AmbiguousJson, parseJson } from './json-text.ts'
import { roundsOf } from '../../../../tests/breadth.ts'

const ask: Describers = {
  describe: () =>
    Promise.resolve([
      { action: 'shell.unreadable', resources: [], impact: { kind: 'unknown', reversible: false }, why: 'unread', context: {} },
    ]),
}
const request = {
  method: 'POST',
  url: 'https://backboard.railway.com/graphql/v2',
  headers: { 'content-type': 'application/json' },
}

function send(body: Json): Promise<readonly Operation[]> {
  return describe({ ...request, body: typeof body === 'string' ? body : JSON.stringify(body) }, ask)
}

function isMild(operations: readonly Operation[]): boolean {
  return operations.every(({ impact }) => impact.kind === 'read' || impact.kind === 'write')
}

function isParsed(document: string): boolean {
  try {
    parse(document)
    return true
  } catch {
    return false
  }
}

const name = fc.stringMatching(/^[A-Za-z]\w{0,8}$/)
const noise = fc
  .array(fc.constantFrom(' ', '\n', '\t', '\r\n', ',', '#x { me }\n', '# "\n', ',,'), { maxLength: 4 })
  .map((parts) => ` ${parts.join('')}`)

/** Selections around one that destroys: aliases, nesting, fragments, comments, neighbours. */
interface Wrapping {
  readonly alias: string | null
  readonly before: readonly string[]
  readonly after: readonly string[]
  readonly layers: readonly ('inline' | 'typed' | 'named' | 'include' | 'skip')[]
  readonly noise: string
  readonly byVariable: 'literal' | 'sent' | 'default'
  readonly operationName: string
  readonly decoy: boolean
  readonly place: number
}

const neighbour = fc.constantFrom(
  'a1: projectCreate(input: {name: "x"}) { id }',
  '__typename',
  'a2: volumeUpdate(volumeId: "v", input: {name: "x"}) { id }',
  'a3: volumeDelete(volumeId: "other") @skip(if: true)',
)
const wrapping: fc.Arbitrary<Wrapping> = fc.record({
  alias: fc.option(name),
  before: fc.array(neighbour, { maxLength: 2 }),
  after: fc.array(neighbour, { maxLength: 2 }),
  layers: fc.array(fc.constantFrom('inline', 'typed', 'named', 'include', 'skip'), { maxLength: 6 }),
  noise,
  byVariable: fc.constantFrom('literal', 'sent', 'default'),
  operationName: name,
  decoy: fc.boolean(),
  place: fc.integer({ min: 0, max: 3 }),
})

function wrap(shape: Wrapping): Json {
  const gap = shape.noise
  const value = shape.byVariable === 'literal' ? '"the-volume"' : '$v'
  const fragments: string[] = []
  let inner = `${shape.alias === null ? '' : `${shape.alias}:${gap}`}volumeDelete${gap}(volumeId${gap}:${gap}${value})`
  for (const [index, layer] of shape.layers.entries()) {
    if (layer === 'named') {
      fragments.push(`fragment L${index} on Mutation${gap}{ ${inner} }`)
      inner = `...L${index}`
    } else if (layer === 'skip') inner = `... @skip(if: $never)${gap}{ ${inner} }`
    else inner = `...${layer === 'typed' ? ' on Mutation' : layer === 'include' ? ' @include(if: true)' : ''}${gap}{ ${inner} }`
  }
  const declared = `($never: Boolean = false, $v: String${shape.byVariable === 'default' ? ' = "the-volume"' : ''})`
  const body = `{${gap}${[...shape.before, inner, ...shape.after].join(gap)}${gap}}`
  const decoy = shape.decoy ? `query Decoy${gap}{ me { id } }` : ''
  const query = [decoy, `mutation M${shape.operationName}${declared}${gap}${body}`, ...fragments].join('\n')
  const item = {
    query,
    variables: shape.byVariable === 'sent' ? { v: 'the-volume' } : {},
    ...(shape.decoy ? { operationName: `M${shape.operationName}` } : {}),
  }
  if (shape.place === 0) return item
  return [...Array.from({ length: shape.place - 1 }, () => ({ query: '{ me { id } }' })), item]
}

suite('hostile requests', () => {
  test('never throw, whatever is given', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.jsonValue(), fc.string({ unit: 'binary' })), async (given) => {
        const decoded: Json = parseOrNull(JSON.stringify(given))
        expect((await describe(decoded, ask)).length).toBeGreaterThan(0)
        expect((await send(decoded)).every(({ impact }) => impact.kind === 'unknown')).toBe(true)
        expect((await send({ query: typeof given === 'string' ? given : '{', variables: decoded })).length).toBeGreaterThan(0)
      }),
      { numRuns: roundsOf(500, 150) },
    )
  })

  test('aliases, fragments, comments, variables and neighbours make a deletion no milder', async () => {
    await fc.assert(
      fc.asyncProperty(wrapping, async (shape) => {
        const operations = await send(wrap(shape))
        const deletions = operations.filter(({ action }) => action === 'railway.volumeDelete')
        expect(deletions.map(({ impact, resources }) => ({ impact, resources }))).toEqual([
          { impact: { kind: 'destroy', reversible: false }, resources: [{ type: 'volume', name: 'the-volume' }] },
        ])
      }),
      { numRuns: roundsOf(1_000, 300) },
    )
  })

  test('a document the parser refuses is unknown, and one it reads keeps its deletion', async () => {
    const whole = 'mutation M($a: String! = "v") { x: volumeDelete(volumeId: $a) ...F } fragment F on Mutation { __typename }'
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: whole.length }),
        fc.integer({ min: 0, max: 3 }),
        fc.constantFrom('', '{', '}', '"', '"""', '#', '$', '\u0000', '\uFEFF', '\u202E', '...', '@', '\\', 'é'),
        async (at, cut, put) => {
          const query = whole.slice(0, at) + put + whole.slice(at + cut)
          const operations = await send({ query })
          if (!isParsed(query)) expect(operations.map(({ impact }) => impact.kind)).toEqual(['unknown'])
          else if (/\bvolumeDelete\(/.test(query) && !query.includes('#')) expect(isMild(operations), query).toBe(false)
        },
      ),
      { numRuns: roundsOf(2_000, 600) },
    )
  })

  test('a condition that is not plainly true or false does not hide a deletion', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom('skip', 'include'), fc.jsonValue(), async (directive, given) => {
        const value: Json = parseOrNull(JSON.stringify(given))
        const query = `mutation($c: Boolean) { volumeDelete(volumeId: "v") @${directive}(if: $c) }`
        const isHidden = value === (directive === 'skip')
        expect(isMild(await send({ query, variables: { c: value } }))).toBe(isHidden)
      }),
    )
  })

  test('of a patch, whatever is deleted anywhere in it is not mild', async () => {
    const section = fc.constantFrom('services', 'volumes', 'buckets')
    const mark = fc.constantFrom<Json>({ isDeleted: true }, { isDeleted: 1 }, { isDeleted: 'yes' }, { isDeleted: {} }, null)
    const harmless = fc.constantFrom<Json>({ isDeleted: false }, {}, { name: 'x' })
    // Names that differ in their letters' case alone make the whole of it unknown.
    const isPlain = (others: object): boolean =>
      new Set(Object.keys(others).map((key) => key.toLowerCase())).size === Object.keys(others).length
    const others = fc.dictionary(name, harmless, { maxKeys: 4 }).filter(isPlain)
    await fc.assert(
      fc.asyncProperty(section, mark, others, async (key, marked, unmarked) => {
        const query = 'mutation($p: EnvironmentConfig) { environmentPatchCommit(environmentId: "e", patch: $p) }'
        const gone = await send({ query, variables: { p: { [key]: { ...unmarked, 'gone-and-longer': marked } } } })
        expect(gone[0]?.impact).toEqual({ kind: 'destroy', reversible: false })
        expect(isMild(await send({ query, variables: { p: { [key]: unmarked } } }))).toBe(true)
      }),
    )
  })

  test('JSON is read as the platform reads it, or refused', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        let read: Json
        try {
          read = parseJson(text)
        } catch (error) {
          expect(error).toBeInstanceOf(AmbiguousJson)
          return
        }
        expect(JSON.stringify(read)).toBe(JSON.stringify(JSON.parse(text)))
      }),
      { numRuns: roundsOf(2_000, 600) },
    )
  })
})

function parseOrNull(text: string | undefined): Json {
  return text === undefined ? null : parseJsonLoosely(text)
}

function parseJsonLoosely(text: string): Json {
  try {
    return parseJson(text)
  } catch {
    return text
  }
}

suite('bombs', () => {
  const long = 200_000
  const doubling = Array.from(
    { length: 40 },
    (_, index) => `fragment F${index} on Mutation { ...F${index + 1} ...F${index + 1} }`,
  )
  const nested = Array.from({ length: 40 }, (_, index) => `fragment F${index} on User { ...F${index + 1} ...F${index + 1} }`)
  const deletion = 'volumeDelete(volumeId: "v")'
  test.each<readonly [string, Json]>([
    [
      'fragments that double forty times',
      { query: `mutation { ...F0 } ${doubling.join(' ')} fragment F40 on Mutation { ${deletion} }` },
    ],
    ['fragments that double in a field', { query: `{ me { ...F0 } } ${nested.join(' ')} fragment F40 on User { ghost }` }],
    [
      'a chain of fragments',
      {
        query: `{ ...F0 } ${Array.from({ length: 1_500 }, (_, index) => `fragment F${index} on Query { ...F${index + 1} }`).join(' ')}`,
      },
    ],
    ['brackets', { query: '{'.repeat(long) }],
    ['brackets in a value', { query: `{ me(x: ${'['.repeat(long)}` }],
    ['types of a variable', { query: `query($x: ${'['.repeat(5_000)}` }],
    ['comments', { query: `${'#\n'.repeat(long / 2)}mutation { ${deletion} }` }],
    ['one long comment', { query: `#${'x'.repeat(long)}\nmutation { ${deletion} }` }],
    ['a long name', { query: `mutation { ${'a'.repeat(long)} }` }],
    ['a long block string', { query: `mutation { ${deletion} a: projectDelete(id: """${'\n "'.repeat(long / 4)}x""") }` }],
    ['a string that does not end', { query: `mutation { projectDelete(id: "${'\\'.repeat(long / 2)}` }],
    ['aliases', { query: `mutation { ${Array.from({ length: 1_200 }, (_, index) => `a${index}: ${deletion}`).join(' ')} }` }],
    ['levels of JSON', '['.repeat(long)],
    ['levels of objects', '{"a":'.repeat(long / 8)],
    ['a long number', `{"query":"mutation { x }","variables":{"n":${'9'.repeat(long)}}}`],
    ['a long fraction', `{"query":"mutation { x }","variables":{"n":0.${'0'.repeat(long)}1}}`],
    ['blanks', `${' '.repeat(long)}{"query":`],
    ['escapes', `{"query":"${String.raw`\u0041`.repeat(long / 8)}"}`],
  ])('%s: grave, and soon', async (_, body) => {
    const start = performance.now()
    expect(isMild(await send(body))).toBe(false)
    expect(performance.now() - start).toBeLessThan(20_000)
  })

  const patch = 'mutation($p: EnvironmentConfig) { environmentPatchCommit(environmentId: "e", patch: $p) }'
  const upsert = 'mutation($i: VariableCollectionUpsertInput!) { variableCollectionUpsert(input: $i) }'
  test.each<readonly [string, Json]>([
    [
      'one large value used often',
      {
        query: `mutation($i: VariableCollectionUpsertInput!) { ${Array.from({ length: 150 }, (_, index) => `a${index}: variableCollectionUpsert(input: $i)`).join(' ')} }`,
        variables: { i: { variables: Object.fromEntries(Array.from({ length: 9_000 }, (_, index) => [`A${index}`, 'x'])) } },
      },
    ],
    ['a long name of a variable', { query: upsert, variables: { i: { variables: { ['_db'.repeat(60_000)]: 'x' } } } }],
    ['references', { query: upsert, variables: { i: { variables: { A: '${{'.repeat(60_000) } } } }],
    [
      'a long command',
      { query: patch, variables: { p: { services: { s: { deploy: { startCommand: `npm ${'a '.repeat(90_000)}` } } } } } },
    ],
    [
      'a command of a thousand words',
      { query: patch, variables: { p: { services: { s: { deploy: { startCommand: `npx ${'${a'.repeat(600)}` } } } } } },
    ],
    [
      'many services',
      {
        query: patch,
        variables: { p: { services: Object.fromEntries(Array.from({ length: 9_000 }, (_, index) => [`s${index}`, {}])) } },
      },
    ],
  ])('%s: an answer, and soon', async (_, body) => {
    const start = performance.now()
    expect((await send(body)).length).toBeGreaterThan(0)
    expect(performance.now() - start).toBeLessThan(20_000)
  })
})
