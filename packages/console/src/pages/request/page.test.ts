import { challengeOf, type AccessRequest, type Json, type PlanStep, type Question } from '@sallyport/core'
import { describe, expect, test } from 'vitest'
import { makeQuestion, makeRequest } from '../../../../../tests/fakes/people.ts'
import type { Frame } from '../../frame.ts'
import { assets, renderRequest } from '../../index.ts'

const nowMs = 1_800_000_000_000
const frame: Frame = {
  nonce: 'n',
  csrf: 'c',
  person: 'grace',
  nowMs,
  waiting: 1,
  isProposed: false,
  posture: { mode: 'team', isolationLevel: 2, warnings: [] },
}

function render(request: AccessRequest): string {
  const challenges = {
    approve: challengeOf(request, 'approve'),
    reject: challengeOf(request, 'reject'),
    breakGlass: null,
    code: null,
  }
  return renderRequest(frame, {
    request,
    challenges,
    newestCopyAtMs: nowMs - 4000,
    guardSentences: new Map(),
    cannotApprove: null,
    standsUntilMs: null,
    plan: null,
    aheadUses: null,
    reviews: false,
    version: 'v',
  })
}

/** What a person reads: no tags, no attributes, no style. */
function readable(page: string): string {
  const entities: Readonly<Record<string, string>> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" }
  return page
    .replaceAll(/<style[^>]*>[\s\S]*?<\/style>|<title>[\s\S]*?<\/title>/g, '')
    .replaceAll(/<[^>]*>/g, '')
    .replaceAll(/&(?:amp|lt|gt|quot|#39);/g, (entity) => entities[entity] ?? '')
}

/** Everything that can differ in a question, each once: one field, or one more or fewer of a list. */
function variants(question: Question): readonly (readonly [string, Question])[] {
  const [operation] = question.operations
  if (!operation) throw new Error('the example has an operation')
  const [resource] = operation.resources
  if (!resource) throw new Error('the example has a resource')
  const inOperation = (change: Partial<typeof operation>): Question => ({
    ...question,
    operations: [{ ...operation, ...change }],
  })
  const inResource = (change: Partial<typeof resource>): Question => inOperation({ resources: [{ ...resource, ...change }] })
  const top: { readonly [Key in keyof Question]: Question[Key] } = {
    digest: '1'.repeat(64),
    subject: { agent: 'other', owner: question.subject.owner },
    protocol: 'http',
    upstream: 'customers-db',
    environment: 'staging',
    text: `${question.text} `,
    bindValues: ['aGVsbG8='],
    operations: [...question.operations, operation],
    rowsMax: null,
    copy: 'rows',
    approvalsNeeded: 2,
    delayMs: 1,
    guards: ['destroy-needs-person'],
    policyHash: '2'.repeat(64),
  }
  const inside: { readonly [Key in keyof typeof operation]: (typeof operation)[Key] } = {
    action: 'postgres.truncate',
    kind: 'unknown',
    reversible: true,
    why: 'Because.',
    resources: [],
    rows: null,
    bytes: 12_345_679,
    tables: ['public.orders', 'public.order_lines', 'public.other'],
    dependants: ['view public.daily_revenue', 'view public.other'],
  }
  const innermost: { readonly [Key in keyof typeof resource]: (typeof resource)[Key] } = {
    type: 'view',
    name: 'public.orders2',
    identity: null,
    schemaHash: null,
  }
  return [
    ...Object.entries(top).map(([name, value]) => [name, { ...question, [name]: value }] as const),
    ['subject.owner', { ...question, subject: { agent: question.subject.agent, owner: 'other' } }],
    ['rowsMax number', { ...question, rowsMax: 53_034 }],
    ...(['none', 'impossible'] as const).map((copy) => [`copy ${copy}`, { ...question, copy }] as const),
    ['delayMs large', { ...question, delayMs: 900_001 }],
    ['bindValues null', { ...question, bindValues: [null] }],
    ['bindValues nested', { ...question, bindValues: [{ type: 23, value: 'MQ==' }] }],
    ...Object.entries(inside).map(([name, value]) => [`operation.${name}`, inOperation({ [name]: value })] as const),
    ['operation.rows by one', inOperation({ rows: 48_212 })],
    ...Object.entries(innermost).map(([name, value]) => [`resource.${name}`, inResource({ [name]: value })] as const),
  ]
}

describe('what is shown is what is signed', () => {
  const request = makeRequest(nowMs, makeQuestion())
  const shown = readable(render(request))
  const seen = new Map<string, string>([['the example', shown]])

  test.each(variants(request.question))('%s is on the page', (name, question) => {
    const changed = { ...request, question }
    expect(challengeOf(changed, 'approve')).not.toBe(challengeOf(request, 'approve'))
    const page = readable(render(changed))
    for (const [other, text] of seen) expect([name, other, page]).not.toEqual([name, other, text])
    seen.set(name, page)
  })

  test('nonce, id and expiry are on it too', () => {
    for (const part of [request.id, request.nonce, String(request.expiresAtMs)]) expect(shown).toContain(part)
  })

  test('every text and number of a question, each in full', () => {
    for (const leaf of leaves({ ...request.question })) expect(shown.replaceAll(',', '')).toContain(leaf.replaceAll(',', ''))
  })
})

describe('of a plan, too, what is shown is what is signed', () => {
  const evil = '</pre><h2>Step 3 of 3</h2>\u202E'
  const step: PlanStep = {
    request: 'a'.repeat(32),
    challenge: 'b'.repeat(64),
    protocol: 'postgres',
    text: evil,
    bindValues: ['one'],
    operationsCount: 1,
    rowsMax: 7,
    copy: 'rows',
  }
  const example = makeQuestion()
  const [operation] = example.operations
  const question: Question = {
    ...example,
    operations: operation === undefined ? [] : [operation, { ...operation, why: 'the second' }],
    rowsMax: null,
    text: 'move to the new schema',
    steps: [step, { ...step, request: 'c'.repeat(32), challenge: 'd'.repeat(64) }],
  }
  const changes: { readonly [Key in keyof PlanStep]: PlanStep[Key] } = {
    request: 'e'.repeat(32),
    challenge: 'f'.repeat(64),
    protocol: 'http',
    text: 'DROP TABLE other',
    bindValues: [],
    operationsCount: 2,
    rowsMax: 8,
    copy: 'impossible',
  }

  test.each(Object.entries(changes))('%s of a step', (name, value) => {
    const request = makeRequest(nowMs, question)
    const changed = {
      ...request,
      question: { ...question, steps: [{ ...step, [name]: value }, ...(question.steps ?? []).slice(1)] },
    }
    expect(challengeOf(changed, 'approve')).not.toBe(challengeOf(request, 'approve'))
    expect(readable(render(changed))).not.toBe(readable(render(request)))
  })

  test('every step in a fence of its own, with its own operation, in its order', () => {
    const page = render(makeRequest(nowMs, question))
    for (const leaf of leaves({ ...question, steps: question.steps?.map((one) => ({ ...one, text: '' })) }))
      expect(readable(page).replaceAll(',', '')).toContain(leaf.replaceAll(',', ''))
    expect(page).not.toContain(evil)
    expect(page.match(/<h2>Step \d of \d/g)).toEqual(['<h2>Step 1 of 2', '<h2>Step 2 of 2'])
    expect(page.indexOf('the second')).toBeGreaterThan(page.indexOf('<h2>Step 2'))
    expect(page).not.toContain('data-incomplete')
  })

  test('operations that belong to no step, or steps without theirs, are said to be so', () => {
    for (const operationsCount of [0, 3]) {
      const odd = { ...question, steps: [{ ...step, operationsCount }] }
      expect(render(makeRequest(nowMs, odd))).toContain('data-incomplete')
    }
  })
})

function leaves(value: unknown): readonly string[] {
  if (typeof value === 'string' || typeof value === 'number') return value === 0 ? [] : [String(value)]
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap((inner: unknown) => leaves(inner))
}

test('a statement of a million characters is whole', () => {
  const text = `SELECT '${'x'.repeat(1_000_000)}'; DROP TABLE orders`
  const page = render(makeRequest(nowMs, { ...makeQuestion(), text }))
  expect(readable(page)).toContain(text)
  expect(readable(page)).toContain('1,000,028 characters, 1 line — scroll to read all of it')
})

test('hostile text is escaped everywhere it can stand', () => {
  const evil = '"><img src=x onerror=alert(1)>\u202E\u0000'
  const question = makeQuestion()
  const page = render(
    makeRequest(nowMs, {
      ...question,
      digest: evil,
      subject: { agent: evil, owner: evil },
      protocol: evil,
      upstream: evil,
      text: evil,
      bindValues: [evil, { [evil]: evil, isEscaped: true, toString: evil } satisfies Json],
      operations: question.operations.map((operation) => ({
        ...operation,
        action: evil,
        why: evil,
        tables: [evil],
        dependants: [evil],
        resources: [{ type: evil, name: evil, identity: evil, schemaHash: evil }],
      })),
      guards: [evil],
      policyHash: evil,
    }),
  )
  expect(page).not.toContain('<img')
  expect(page).not.toContain('\u202E')
  expect(page).not.toContain('\u0000')
  expect(page).toContain('⟦U+202E⟧')
})

test('base64 bind values are shown as signed, and as the text they are', () => {
  const page = readable(
    render(
      makeRequest(nowMs, { ...makeQuestion(), bindValues: [Buffer.from('ada@example.test').toString('base64'), 'not base64!'] }),
    ),
  )
  expect(page).toContain('YWRhQGV4YW1wbGUudGVzdA==')
  expect(page).toContain('which is the text “ada@example.test”')
  expect(page).toContain('"not base64!"')
})

test('the page is small: 15 KB without its scripts, 21 KB with them', () => {
  const page = Buffer.byteLength(render(makeRequest(nowMs, makeQuestion())))
  const scripts = ['page.js', 'passkey.js'].reduce((sum, name) => sum + Buffer.byteLength(assets.get(name) ?? ''), 0)
  expect(page).toBeLessThanOrEqual(15_000)
  expect(page + scripts).toBeLessThanOrEqual(21_000)
})

test.each([
  ['pending', {}, ['waits', 'Approve with passkey', 'expires in']],
  ['pending and too late', { expiresAtMs: nowMs }, ['expired', 'Nothing ran']],
  ['cooling off', { state: 'approved', notBeforeMs: nowMs + 1000 }, ['cooling off', 'may run in', 'Cancel it']],
  ['approved', { state: 'approved', notBeforeMs: nowMs }, ['approved', 'Cancel it']],
  ['rejected', { state: 'rejected', endedBy: 'ada' }, ['rejected', 'By ada']],
  ['cancelled', { state: 'cancelled', endedBy: 'ada' }, ['cancelled', 'It will not run']],
] as const)('%s', (_name, change, words) => {
  const page = readable(render({ ...makeRequest(nowMs, makeQuestion()), ...change }))
  for (const word of words) expect(page).toContain(word)
  if (!words.some((word) => word.startsWith('Approve'))) expect(page).not.toContain('Approve with passkey')
})
