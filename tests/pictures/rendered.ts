import { type AccessRequest, type Approval, challengeOf, type Question } from '@sallyport/core'
import { type Frame, renderArrived, renderRequest, type RequestView, renderSignIn } from '@sallyport/console'
import { makeQuestion, makeRequest } from '../fakes/people.ts'

const nowMs = Date.now()
const frame: Frame = {
  nonce: 'n',
  csrf: 'c',
  person: 'grace',
  nowMs,
  waiting: 3,
  isProposed: false,
  posture: { mode: 'team', isolationLevel: 2, warnings: [] },
}
const stranger: Frame = { ...frame, person: null, waiting: 0 }
const minuteMs = 60_000

function render(request: AccessRequest, change: Partial<RequestView> = {}): string {
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
    guardSentences: new Map([
      [
        'destroy-needs-person',
        'What destroys in production is approved by a person, unless it changes few rows that can be put back.',
      ],
      [
        'destroy-needs-proven-copy',
        'What destroys in production runs only when a copy of it was sealed in the vault and proven.',
      ],
    ]),
    cannotApprove: null,
    standsUntilMs: null,
    plan: null,
    aheadUses: null,
    reviews: false,
    version: 'v',
    ...change,
  })
}

function ask(question: Partial<Question> = {}, change: Partial<AccessRequest> = {}): AccessRequest {
  const request = makeRequest(nowMs - 3 * minuteMs, { ...makeQuestion(), ...question })
  return { ...request, expiresAtMs: nowMs + 12 * minuteMs, ...change }
}

function verdict(person: string, change: Partial<Approval> = {}): Approval {
  return {
    person,
    verdict: 'approve',
    atMs: nowMs - minuteMs,
    challenge: 'a'.repeat(64),
    credentialId: 'key',
    evidence: {},
    reason: '',
    ...change,
  }
}

const long = `WITH doomed AS (\n${Array.from({ length: 40 }, (_, line) => `  SELECT id, total, customer FROM orders WHERE batch = ${line} UNION ALL`).join('\n')}\n  SELECT NULL, NULL, NULL)\nDELETE FROM orders WHERE id IN (SELECT id FROM doomed) -- \u202Eeverything is fine\u202C`
const name = 'a_schema_with_a_rather_long_name.a_table_whose_name_goes_on_and_on_until_sixty_three_characters'

function longQuestion(): Partial<Question> {
  const [operation] = makeQuestion().operations
  if (operation === undefined) throw new Error('the example has an operation')
  return {
    text: long,
    bindValues: [Buffer.from('ada@example.test').toString('base64'), 'x'.repeat(400)],
    subject: { agent: 'nightly-reconciliation-worker-of-the-billing-team', owner: 'billing-platform@example.test' },
    operations: [1, 2, 3].map((count) => ({
      ...operation,
      tables: Array.from({ length: 12 }, (_, table) => `${name}_${table}`),
      dependants: Array.from({ length: 9 * count }, (_, view) => `view public.report_${view}`),
    })),
    approvalsNeeded: 2,
    approversFrom: 'billing-leads',
    delayMs: 15 * minuteMs,
  }
}

function plan(): AccessRequest {
  const [operation] = makeQuestion().operations
  const texts = [
    'CREATE TABLE orders_2 (LIKE orders INCLUDING ALL)',
    'INSERT INTO orders_2 SELECT * FROM orders',
    'DROP TABLE orders CASCADE',
  ]
  return ask({
    text: 'Move the orders to a table that is partitioned by month, then drop the old one.',
    rowsMax: null,
    operations: operation === undefined ? [] : texts.map((text) => ({ ...operation, why: `runs ${text}` })),
    steps: texts.map((text, index) => ({
      request: String(index).repeat(32),
      challenge: 'b'.repeat(64),
      protocol: 'postgres',
      text,
      bindValues: [],
      operationsCount: 1,
      rowsMax: index === 2 ? 48_211 : null,
      copy: index === 2 ? 'tables' : 'none',
    })),
  })
}

const glass = { person: 'grace', breakGlass: true, reason: 'the shop is down and nobody answers' } as const
const quorum = { approvalsNeeded: 2, approversFrom: 'database-owners' }

/** States of the pages that the gate renders itself which a short story of a real gate does not come to: made from the pages' own functions. */
export const renderedPages: readonly (readonly [string, string])[] = [
  ['rendered-request-waits', render(ask())],
  ['rendered-request-long', render(ask(longQuestion()))],
  [
    'rendered-request-impossible',
    render(ask({ copy: 'impossible', ...quorum }), {
      newestCopyAtMs: null,
      cannotApprove: 'You own this agent: somebody else has to approve.',
    }),
  ],
  [
    'rendered-request-one-of-two',
    render(
      ask(quorum, {
        approvals: [
          verdict('ada', { reason: 'agreed with the team', conditions: { rowsMax: 100, notBeforeMs: nowMs + 30 * minuteMs } }),
        ],
      }),
    ),
  ],
  ['rendered-request-plan', render(plan())],
  [
    'rendered-request-cooling',
    render(ask({}, { state: 'approved', approvals: [verdict('ada')], notBeforeMs: nowMs + 9 * minuteMs })),
  ],
  [
    'rendered-request-rejected',
    render(
      ask(
        {},
        { state: 'rejected', endedBy: 'ada', approvals: [verdict('ada', { verdict: 'reject', reason: 'not on a Friday' })] },
      ),
    ),
  ],
  ['rendered-request-expired', render(ask({}, { state: 'expired', expiresAtMs: nowMs - minuteMs }))],
  ['rendered-request-cancelled', render(ask({}, { state: 'cancelled', endedBy: 'ada' }))],
  ['rendered-request-glass', render(ask(quorum), { challenges: { approve: 'a', reject: 'b', breakGlass: 'c', code: null } })],
  [
    'rendered-request-glass-broken',
    render(ask(quorum, { state: 'approved', approvals: [verdict('grace', glass)] }), { reviews: true }),
  ],
  [
    'rendered-request-stands',
    render(ask({}, { state: 'approved', approvals: [verdict('ada')] }), { standsUntilMs: nowMs + 45 * minuteMs }),
  ],
  ['rendered-sign-in-nobody', renderSignIn(stranger, { anyoneEnrolled: false, next: '/', provider: null, connects: null })],
  [
    'rendered-sign-in-provider',
    renderSignIn(stranger, { anyoneEnrolled: true, next: '/', provider: 'https://login.example.test', connects: null }),
  ],
  [
    'rendered-sign-in-connects',
    renderSignIn(stranger, {
      anyoneEnrolled: true,
      next: '/',
      provider: 'https://login.example.test',
      connects: { id: 'x', issuer: 'https://login.example.test', subject: 'grace@example.test', name: 'Grace Hopper' },
    }),
  ],
  ['rendered-arrived', renderArrived(stranger, { go: '/requests', isConnected: true })],
]
