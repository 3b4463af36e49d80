import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe as suite, expect, test } from 'vitest'
import { z } from 'zod'
import type { Describers, Json, Operation } from '@sallyport/core'
import { describe } from './describe.ts'
import { mutationImpacts } from './impact-mutation.ts'
import { queryImpacts, subscriptionImpacts } from './impact-query.ts'
import { judgedMutations } from './judge-arguments.ts'
import { findInput, findOutput, outputTypes, rootFields } from './schema.ts'
import { rootFieldCounts } from './schema-table.ts'
import { secretFieldNames } from './secret-field.ts'

const url = 'https://backboard.railway.com/graphql/v2'
const headers = { 'content-type': 'application/json' }
/** No other language is known here. */
const ask: Describers = {
  describe: (connector) =>
    Promise.resolve([
      {
        action: `${connector}.unreadable`,
        resources: [],
        impact: { kind: 'unknown', reversible: false },
        why: 'unread',
        context: {},
      },
    ]),
}

function send(body: Json, more: { readonly [key: string]: Json } = {}): Promise<readonly Operation[]> {
  return describe({ method: 'POST', url, headers, body: typeof body === 'string' ? body : JSON.stringify(body), ...more }, ask)
}

const kindsOf = (operations: readonly Operation[]): string[] => operations.map(({ impact }) => impact.kind)

suite('the tables', () => {
  test('the schema has the fields the reference has', () => {
    expect(rootFieldCounts).toEqual({ Query: 152, Mutation: 230, Subscription: 13 })
    for (const root of ['Query', 'Mutation', 'Subscription'] as const)
      expect(rootFields(root), root).toHaveLength(rootFieldCounts[root])
  })

  test('every mutation, query and subscription has an impact, and none is listed that the schema lacks', () => {
    expect([...mutationImpacts.keys()].sort()).toEqual([...rootFields('Mutation')].sort())
    expect([...queryImpacts.keys()].sort()).toEqual([...rootFields('Query')].sort())
    expect([...subscriptionImpacts.keys()].sort()).toEqual([...rootFields('Subscription')].sort())
  })

  test('no mutation is in two groups', () => {
    const source = readFileSync(new URL('./impact-mutation.ts', import.meta.url), 'utf8')
    for (const name of mutationImpacts.keys()) expect(source.match(new RegExp(`\\b${name}\\b`, 'g')), name).toHaveLength(1)
  })

  test('every mutation whose arguments are judged, and every secret field, exists', () => {
    expect(judgedMutations.filter((name) => !mutationImpacts.has(name))).toEqual([])
    for (const path of secretFieldNames) {
      const [type = '', name = ''] = path.split('.')
      expect(findOutput(type)?.has(name), path).toBe(true)
    }
  })

  test('every type that a field names is in the table, and every argument has a type', () => {
    for (const type of outputTypes()) {
      for (const [name, { type: inner, given }] of findOutput(type) ?? []) {
        if (inner !== undefined) expect(findOutput(inner), `${type}.${name}`).toBeDefined()
        for (const [argument, { name: input }] of given) expect(input, `${type}.${name}(${argument})`).toMatch(/^\w+$/)
      }
    }
    expect(findInput('VariableUpsertInput')?.get('name')).toEqual({ name: 'String', isList: false })
  })

  test('fields whose name says that they show a secret are known to', () => {
    const telling = /secret|password|recoveryCodes|accessKey/i
    for (const type of outputTypes()) {
      if (/^(Query|Mutation|Subscription|TwoFactorInfo)$/.test(type)) continue
      for (const name of findOutput(type)?.keys() ?? [])
        if (telling.test(name)) expect(secretFieldNames, `${type}.${name}`).toContain(`${type}.${name}`)
    }
  })

  test('every field of the roots is read as its table says, plain, by an alias and in a fragment', async () => {
    for (const [keyword, root, impacts] of [
      ['query', 'Query', queryImpacts],
      ['mutation', 'Mutation', mutationImpacts],
      ['subscription', 'Subscription', subscriptionImpacts],
    ] as const) {
      for (const [name, { kind, reversible }] of impacts) {
        for (const query of [
          `${keyword} { ${name} }`,
          `${keyword} { me: ${name} }`,
          `${keyword} { ...F } fragment F on ${root} { ... { ${name} } }`,
        ]) {
          const [operation, ...more] = await send({ query })
          expect(more).toEqual([])
          expect(operation?.action).toBe(`railway.${name}`)
          // the arguments it needs are missing, which may make it worse and never milder
          if (operation?.impact.kind === kind) expect(operation.impact.reversible && !reversible, query).toBe(false)
          else expect(['unknown', 'destroy', 'escalate', 'disrupt'], query).toContain(operation?.impact.kind)
        }
      }
    }
  })
})

const resourceShape = z.object({ type: z.string(), name: z.string() })
const caseShape = z.object({
  body: z.json(),
  operations: z.array(z.object({ action: z.string(), kind: z.string(), resources: z.array(resourceShape) })),
})

suite('operations', () => {
  test('have the action, the impact and the resources their case says', async () => {
    const file = fileURLToPath(new URL('./cases/operations.jsonl', import.meta.url))
    for (const line of readFileSync(file, 'utf8').trim().split('\n')) {
      const { body, operations } = caseShape.parse(JSON.parse(line))
      const described = (await send(body)).map(({ action, impact, resources }) => ({ action, kind: impact.kind, resources }))
      expect(described, line).toEqual(operations)
    }
  })

  test('tell the operation, the alias and the place in the batch, and never a value', async () => {
    const query =
      'mutation M($v: String!) { a: variableUpsert(input: {projectId: "p", environmentId: "e", name: "X", value: $v}) }'
    const operations = await send([{ query: '{ me { id } }' }, { query, variables: { v: 'hunter2-hunter2' } }])
    expect(operations[1]?.context).toEqual({ root: 'Mutation', operationName: 'M', requestIndex: 1, alias: 'a' })
    expect(JSON.stringify(operations)).not.toContain('hunter2')
  })

  test('ask the shell about a command that does more than start something', async () => {
    const asked: Json[] = []
    const shell: Describers = {
      describe: (connector, decoded) => {
        asked.push([connector, decoded])
        return Promise.resolve([
          {
            action: 'shell.rm',
            resources: [],
            impact: { kind: 'destroy', reversible: false },
            why: 'removes files',
            context: {},
          },
        ])
      },
    }
    const body = JSON.stringify({
      query: 'mutation { sandboxExec(id: "s", environmentId: "e", command: "rm -rf /data") { exitCode } }',
    })
    const [operation] = await describe({ method: 'POST', url, headers, body }, shell)
    expect(asked).toEqual([['shell', { cmd: 'rm -rf /data' }]])
    expect(operation?.impact).toEqual({ kind: 'destroy', reversible: false })
  })

  test('a harmless command in a sandbox still runs code', async () => {
    expect(
      kindsOf(await send({ query: 'mutation { sandboxExec(id: "s", environmentId: "e", command: "npm test") { exitCode } }' })),
    ).toEqual(['escalate'])
  })
})

suite('secrets', () => {
  const environment = 'environment(id: "e")'
  test.each([
    `query { variables(projectId: "p", environmentId: "e") }`,
    `query { variablesForServiceDeployment(projectId: "p", environmentId: "e", serviceId: "s") }`,
    `query { bucketS3Credentials(bucketId: "b", environmentId: "e", projectId: "p") { region } }`,
    `query { ${environment} { config(decryptVariables: true) } }`,
    `query($d: Boolean = true) { ${environment} { config(decryptVariables: $d) } }`,
    `query { ${environment} { ...F } } fragment F on Environment { x: config(decryptVariables: true) }`,
    `query { deploymentSnapshot(deploymentId: "d") { variables } }`,
    `query { environmentStagedChanges(environmentId: "e") { patch(decryptVariables: true) } }`,
    `query { integrations(projectId: "p") { edges { node { config } } } }`,
    `query { me { providerAuths { edges { node { metadata } } } } }`,
    `query { notificationRules(workspaceId: "w") { channels { config } } }`,
    `query { projectInvitation(code: "c") { ... on InviteCode { code } } }`,
    `subscription { environmentStagedPatch(environmentId: "e") { patch(decryptVariables: true) } }`,
    `mutation { environmentRename(id: "e", input: {name: "x"}) { config(decryptVariables: true) } }`,
  ])('%s: escalate', async (query) => {
    expect(kindsOf(await send({ query }))).toEqual(['escalate'])
  })

  test.each([
    `query { ${environment} { config(decryptVariables: false) } }`,
    `query($d: Boolean) { ${environment} { config(decryptVariables: $d) } }`,
    `query { ${environment} { config(decryptVariables: true) @skip(if: true) id } }`,
    `query { ${environment} { variables { edges { node { name isSealed references } } } } }`,
    `query { projectTokens(projectId: "p") { edges { node { name displayToken } } } }`,
  ])('%s: read', async (query) => {
    expect(kindsOf(await send({ query }))).toEqual(['read'])
  })
})

suite('requests', () => {
  const query = '{ me { id } }'

  test('are read from text, from base64, and at the endpoint of a stand-in that the configuration names', async () => {
    const base64 = Buffer.from(JSON.stringify({ query })).toString('base64')
    const endpoint = 'https://127.0.0.1:9443/graphql/v2'
    expect(kindsOf(await send({ query }))).toEqual(['read'])
    expect(kindsOf(await describe({ method: 'POST', url, headers, bodyBase64: base64 }, ask))).toEqual(['read'])
    expect(kindsOf(await send({ query }, { url: endpoint, endpoint }))).toEqual(['read'])
    expect(kindsOf(await send({ query }, { url: endpoint }))).toEqual(['unknown'])
    expect(kindsOf(await send({ query }, { url: `${endpoint}?x`, endpoint }))).toEqual(['unknown'])
    expect(kindsOf(await send({ query }, { url: 'HTTPS://Backboard.Railway.APP:443/graphql/v2' }))).toEqual(['read'])
  })

  test.each([
    ['bytes that are not UTF-8', { body: null, bodyBase64: Buffer.from([0x7b, 0xff, 0x7d]).toString('base64') }],
    ['base64 that is not canonical', { body: null, bodyBase64: 'eyJ9=' }],
    ['a body over the limit', { body: JSON.stringify({ query: `# ${'x'.repeat(256 * 1024)}\n{ me { id } }` }) }],
    ['no body', { body: null }],
    ['two bodies', { bodyBase64: 'e30=' }],
    ['a Kelvin sign in the host', { url: 'https://bac\u212Aboard.railway.com/graphql/v2' }],
    ['full-width letters in the host', { url: 'https://\uFF42ackboard.railway.com/graphql/v2' }],
    ['a tab in the URL, which parsers drop', { url: 'https://backboard.railway.com/gra\tphql/v2' }],
    ['a dot at the end of the host', { url: 'https://backboard.railway.com./graphql/v2' }],
    ['a slash at the end of the path', { url: `${url}/` }],
    ['a path of another case', { url: 'https://backboard.railway.com/GraphQL/v2' }],
    ['a header given as two lines', { headers: { 'content-type': ['application/json', 'application/json'] } }],
    ['an encoding in another case', { headers: { ...headers, 'Content-Encoding': 'BR' } }],
    ['an upgrade', { headers: { ...headers, upgrade: 'websocket' } }],
    ['a key this connector does not take', { trust: true }],
  ])('%s: unknown', async (_, more) => {
    const operations = await send({ query }, more)
    expect(operations.map(({ action, impact }) => [action, impact])).toEqual([
      ['railway.unreadable', { kind: 'unknown', reversible: false }],
    ])
  })

  test.each([
    ['a number past 2^53', `{"query":"query($n: Int) { me { id } }","variables":{"n":9007199254740993}}`],
    ['a number that overflows', `{"query":"{ me { id } }","variables":{"n":1e999}}`],
    ['a number that vanishes', `{"query":"{ me { id } }","variables":{"n":1e-999}}`],
    ['a fraction no double holds', `{"query":"{ me { id } }","variables":{"n":0.12345678901234567890}}`],
    ['a lone surrogate', String.raw`{"query":"{ me { id } }","variables":{"n":"\ud800"}}`],
    ['a prototype', `{"query":"{ me { id } }","variables":{"__proto__":{"a":1}}}`],
    ['65 levels', `{"query":"{ me { id } }","variables":{"n":${'['.repeat(70)}${']'.repeat(70)}}}`],
    ['two values', `{"query":"{ me { id } }"} {}`],
    ['a comment', `{"query":"{ me { id } }" /* */}`],
    ['a comma too many', `{"query":"{ me { id } }",}`],
    ['a control character in a string', '{"query":"{ me \u0001 { id } }"}'],
    ['an empty batch', '[]'],
    ['a batch too long', JSON.stringify(Array.from({ length: 51 }, () => ({ query: '{ me { id } }' })))],
    ['variables as text', `{"query":"{ me { id } }","variables":"{}"}`],
    ['a query that is no text', `{"query":["{ me { id } }"]}`],
    ['a name of an operation that is no text', `{"query":"{ me { id } }","operationName":1}`],
    ['nothing but a hash', `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"x"}}}`],
    ['a batch holding null', '[null]'],
    ['a key twice', `{"query":"{ me { id } }","query":"{ me { id } }"}`],
    ['a key twice in another case', `{"query":"{ me { id } }","variables":{"a":1,"A":2}}`],
    ['a key twice in another width', `{"query":"{ me { id } }","variables":{"a":1,"\uFF41":2}}`],
    ['the id of a stored document beside a query', `{"query":"{ me { id } }","documentId":"x"}`],
    ['extensions beside a query', `{"query":"{ me { id } }","extensions":{"persistedQuery":{"version":1}}}`],
    ['query in another case only', `{"Query":"{ me { id } }"}`],
  ])('JSON with %s: unknown', async (_, body) => {
    expect(kindsOf(await send(body))).toEqual(['unknown'])
  })

  test.each([
    ['a schema definition', 'type Query { a: Int }'],
    ['a cycle of fragments', '{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }'],
    ['a cycle that is not used', '{ me { id } } fragment A on User { ...A }'],
    ['a fragment nobody defined', '{ ...A }'],
    [
      'two fragments of one name',
      '{ ...A } fragment A on Query { me { id } } fragment A on Query { volumeInstance(id: "x") { id } }',
    ],
    ['two operations of one name', 'query A { me { id } } mutation A { volumeDelete(volumeId: "x") }'],
    ['a fragment of another type at the root', 'mutation { ... on Query { me { id } } }'],
    ['a variable nobody declared', '{ deployment(id: $x) { id } }'],
    ['a variable declared twice', 'query($a: String, $a: String) { me { id } }'],
    ['an argument given twice', '{ deployment(id: "a", id: "b") { id } }'],
    ['a field of an object given twice', '{ deployments(input: {projectId: "a", projectId: "b"}) { edges { node { id } } } }'],
    ['a directive on the operation', 'query @live { me { id } }'],
    ['a directive on a fragment', '{ ...A } fragment A on Query @x { me { id } }'],
    ['a number past 2^53', '{ deployments(first: 9007199254740993, input: {}) { edges { node { id } } } }'],
    ['a type nobody listed', '{ me { ... on Ghost { id } } }'],
    ['a field nobody listed, deep', '{ me { workspaces { secretThing } } }'],
    ['fields of a leaf', '{ me { id { x } } }'],
    ['101 levels', `{ me ${'{ workspace '.repeat(101)}{ id }${' }'.repeat(101)} }`],
    ['10,001 tokens', `{ me { ${'id '.repeat(10_001)} } }`],
    ['201 root fields', `{ ${Array.from({ length: 201 }, (_, index) => `a${index}: platformStatus { isStable }`).join(' ')} }`],
    ['a query field asked of the mutations', 'mutation { me { id } }'],
    ['a mutation asked of the queries', '{ volumeDelete(volumeId: "x") }'],
    ['introspection asked of the mutations', 'mutation { __schema { types { name } } }'],
  ])('a document with %s: unknown', async (_, document) => {
    const kinds = kindsOf(await send({ query: document }))
    expect(kinds).toContain('unknown')
  })
})
