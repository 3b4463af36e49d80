import { findOnCall, type Rotation } from '@sallyport/core'
import { z } from 'zod'
import { quietUntilMs, type QuietHours } from './quiet-hours.ts'
import type { LoggedEvent } from './receiver.ts'

/** Who is rung about a question that waits for people, and after how long. */
export interface RingPlan {
  /** In the order of their times. Nobody is rung twice. */
  readonly steps: readonly RingStep[]
  readonly quiet: readonly (QuietHours & { readonly receivers: readonly string[] })[]
}

export interface RingStep {
  readonly afterMs: number
  readonly receivers: readonly string[]
  /** Besides, whoever is on call when it rings; and whoever takes over while it still waits. */
  readonly onCall?: readonly { readonly rotation: Rotation; readonly receiversOf: ReadonlyMap<string, readonly string[]> }[]
}

/** All that it may ever ring. */
export function receiversOf({ receivers, onCall = [] }: RingStep): readonly string[] {
  return [...new Set([...receivers, ...onCall.flatMap((one) => [...one.receiversOf.values()].flat())])]
}

/** A question as it stands on the log: who was rung, and for whom it is held back. */
export interface OpenQuestion {
  readonly request: string
  /** Of the event that opened it. */
  readonly index: number
  readonly agent: string | null
  readonly openedAtMs: number
  readonly expiresAtMs: number
  readonly rung: ReadonlySet<string>
  readonly held: ReadonlySet<string>
}

const openedShape = z.object({ request: z.string(), expiresAtMs: z.number() })
const aboutShape = z.object({ request: z.string(), receivers: z.array(z.string()).default([]) })

/** What waits for people, as the log tells it: read again from there after a restart, it is the same. */
export type OpenQuestions = Map<string, OpenQuestion>

export function foldQuestion(open: OpenQuestions, { index, event }: LoggedEvent): void {
  const { type, data, atMs, agent = null } = event
  if (type === 'request.opened') {
    const opened = openedShape.safeParse(data)
    if (!opened.success) return
    const { request, expiresAtMs } = opened.data
    open.set(request, { request, index, agent, openedAtMs: atMs, expiresAtMs, rung: new Set(), held: new Set() })
    return
  }
  const about = aboutShape.safeParse(data)
  const known = about.success ? open.get(about.data.request) : undefined
  if (!about.success || known === undefined) return
  const { request, receivers } = about.data
  if (type === 'request.rung') open.set(request, { ...known, rung: new Set([...known.rung, ...receivers]) })
  else if (type === 'request.held') open.set(request, { ...known, held: new Set([...known.held, ...receivers]) })
  else if (endings.has(type)) open.delete(request)
}

const endings: ReadonlySet<string> = new Set(['request.approved', 'request.rejected', 'request.cancelled', 'request.expired'])

/** One ring that is due. */
export interface Ring {
  /** Counted from one. */
  readonly step: number
  readonly steps: number
  readonly receivers: readonly string[]
  readonly why: 'asked' | 'unanswered' | 'quiet_hours_over'
}

export interface Due {
  readonly rings: readonly Ring[]
  /** Newly held back, and until when at the earliest. */
  readonly held: { readonly receivers: readonly string[]; readonly untilMs: number } | null
  /** When there may be something to do again; null: never. */
  readonly wakeAtMs: number | null
}

/** What is to be done about a question now. Nobody is rung twice, and nobody in their quiet hours. */
export function findDue(plan: RingPlan, question: OpenQuestion, nowMs: number): Due {
  const rings: Ring[] = []
  const holds: { receiver: string; untilMs: number }[] = []
  const wakes: number[] = []
  for (const [at, step] of plan.steps.entries()) {
    const atMs = question.openedAtMs + step.afterMs
    if (receiversOf(step).every((receiver) => question.rung.has(receiver))) continue
    if (atMs > nowMs) {
      wakes.push(atMs)
      continue
    }
    const { receivers, untilMs: handedOverMs } = onCallNow(step, nowMs)
    wakes.push(...handedOverMs)
    const left = receivers.filter((receiver) => !question.rung.has(receiver))
    if (left.length === 0) continue
    const asleep = left.flatMap((receiver) => {
      const untilMs = quietOf(plan, receiver, nowMs)
      return untilMs === null ? [] : [{ receiver, untilMs }]
    })
    wakes.push(...asleep.map(({ untilMs }) => untilMs))
    holds.push(...asleep.filter(({ receiver }) => !question.held.has(receiver)))
    const awake = left.filter((receiver) => !asleep.some((one) => one.receiver === receiver))
    rings.push(...ringsOf(question, { step: at + 1, steps: plan.steps.length }, awake))
  }
  const held = holds.length === 0 ? null : { receivers: holds.map(({ receiver }) => receiver), untilMs: earliest(holds) }
  return { rings, held, wakeAtMs: wakes.length === 0 ? null : Math.min(...wakes) }
}

function onCallNow(
  { receivers, onCall = [] }: RingStep,
  nowMs: number,
): { readonly receivers: readonly string[]; readonly untilMs: readonly number[] } {
  const shifts = onCall.map(({ rotation, receiversOf: bellsOf }) => ({ bellsOf, ...findOnCall(rotation, nowMs) }))
  // Before the first shift nobody is on call, and somebody has to hear of it.
  const theirs = shifts.flatMap(({ bellsOf, person }) =>
    person === null ? [...bellsOf.values()].flat() : (bellsOf.get(person) ?? []),
  )
  return {
    receivers: [...new Set([...receivers, ...theirs])],
    untilMs: shifts.flatMap(({ untilMs }) => untilMs ?? []),
  }
}

function ringsOf(question: OpenQuestion, place: Pick<Ring, 'step' | 'steps'>, awake: readonly string[]): readonly Ring[] {
  const late = awake.filter((receiver) => question.held.has(receiver))
  const now = awake.filter((receiver) => !question.held.has(receiver))
  const why = place.step === 1 ? 'asked' : 'unanswered'
  return [
    ...(now.length === 0 ? [] : [{ ...place, receivers: now, why } as const]),
    ...(late.length === 0 ? [] : [{ ...place, receivers: late, why: 'quiet_hours_over' } as const]),
  ]
}

function quietOf(plan: RingPlan, receiver: string, nowMs: number): number | null {
  const ends = plan.quiet.flatMap((hours) => {
    const untilMs = hours.receivers.includes(receiver) ? quietUntilMs(hours, nowMs) : null
    return untilMs === null ? [] : [untilMs]
  })
  return ends.length === 0 ? null : Math.max(...ends)
}

function earliest(holds: readonly { readonly untilMs: number }[]): number {
  return Math.min(...holds.map(({ untilMs }) => untilMs))
}
