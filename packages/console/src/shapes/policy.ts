import * as z from 'zod/mini'
import { impactShape, list } from './now.ts'

const text = z.string()
const count = z.number()
const momentMs = z.number()

/** What somebody gets who asks and has no approval. */
export const treatmentShape = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('runs'), copies: z.boolean() }),
  z.object({ outcome: z.literal('asks'), people: count, group: z.nullable(text), delayMs: count }),
  z.object({ outcome: z.literal('refused'), code: text, why: text }),
])
export type ShownTreatment = z.infer<typeof treatmentShape>

export const triedExpectationShape = z.object({ text, holds: z.boolean(), got: treatmentShape })
const shownExpectationShape = z.object({ text, holds: z.boolean(), got: treatmentShape, kept: z.boolean() })
const countedShape = z.object({ runs: count, asks: count, refused: count })

export const rehearsalShape = z.object({
  judged: count,
  unlike: count,
  same: count,
  milder: count,
  stricter: count,
  changes: list(
    z.object({
      agent: text,
      upstream: text,
      actions: list(text),
      kind: impactShape,
      before: treatmentShape,
      after: treatmentShape,
      count,
      lastIndex: count,
      lastAtMs: momentMs,
    }),
  ),
  changesLeftOut: count,
  before: countedShape,
  after: countedShape,
  fromMs: z.nullable(momentMs),
  toMs: z.nullable(momentMs),
})
export type RehearsalView = z.infer<typeof rehearsalShape>

/** What a configuration would do, tried beside the one in force. */
export const trialShape = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('mistakes'), lines: list(text) }),
  z.object({
    outcome: z.literal('read'),
    gives: z.enum(['same', 'narrower', 'wider']),
    widenings: list(text),
    expectations: list(shownExpectationShape),
    rehearsal: rehearsalShape,
  }),
])
export type TrialView = z.infer<typeof trialShape>

export const shownTrialShape = z.object({ trial: trialShape, unread: count })

export const draftShape = z.object({ text })

export const proposingShape = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.enum(['unmet', 'mistakes']), lines: list(text) }),
  z.object({ outcome: z.enum(['same', 'narrower']) }),
  z.object({ outcome: z.literal('proposed'), widenings: list(text) }),
])

export const policyShape = z.object({
  nowMs: momentMs,
  mode: z.enum(['solo', 'team']),
  hash: text,
  path: text,
  guards: list(z.object({ id: text, why: text, needs: z.nullable(text) })),
  expectations: list(triedExpectationShape),
  rowsWithoutPrompt: count,
  coolOffMs: count,
  retainMs: count,
  requestMs: count,
  acceptedRisks: list(text),
  /** Guards that asked in the questions that are kept, by id. */
  asked: list(z.object({ id: text, count })),
  proposal: z.nullable(z.object({ widenings: list(text), proposedAtMs: momentMs, by: z.nullable(text) })),
})
export type PolicyView = z.infer<typeof policyShape>

export const policyTextShape = z.object({ inForce: text, proposed: z.nullable(text) })

/** A change that somebody is offered instead of having to type it. */
export type ShownChange =
  | { readonly kind: 'remove_scope' | 'add_scope'; readonly agent: string; readonly lines: readonly string[] }
  | { readonly kind: 'rows'; readonly rows: number }
  | { readonly kind: 'expect'; readonly line: string }
