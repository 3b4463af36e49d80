import {
  copySentence,
  type Day,
  glanceText,
  limitSentence,
  type RequestDetail,
  type RequestsView,
  shownRequestOf,
} from '@sallyport/console'
import { type AccessRequest, canonicalJson } from '@sallyport/core'
import { limits } from './limits.ts'
import type { Site } from './site.ts'

const dayMs = 86_400_000
const daysShown = 30
/** Of one question, in the answer: the approval page has what is beyond it. */
const listMax = 200
const textCharacters = 100_000
const similarMax = 8

/** The inbox: what waits first, then what was decided, newest first, and how people answer. */
export async function viewRequests({ ports }: Site): Promise<RequestsView> {
  const nowMs = ports.clock.nowMs()
  const all = (await ports.requests.list()).toSorted((left, right) => right.createdAtMs - left.createdAtMs)
  const shown = all.map((request) => shownRequestOf(request, nowMs))
  const isOpen = ({ state }: { readonly state: string }): boolean => state === 'pending' || state === 'cooling'
  const waits = all.flatMap(waitOf).toSorted((left, right) => left.atMs - right.atMs)
  return {
    nowMs,
    requests: [...shown.filter(isOpen), ...shown.filter((request) => !isOpen(request))].slice(0, limits.requestsInbox),
    inAll: all.length,
    days: countDays(all, nowMs),
    waitsMs: waits.slice(-listMax),
    verdicts: waits.length,
    verdictsUnderThreeSeconds: waits.filter(({ waitMs }) => waitMs < 3000).length,
  }
}

function waitOf({ approvals, createdAtMs }: AccessRequest): readonly { readonly atMs: number; readonly waitMs: number }[] {
  return approvals.map(({ atMs }) => ({ atMs, waitMs: Math.max(0, atMs - createdAtMs) }))
}

function countDays(all: readonly AccessRequest[], nowMs: number): readonly Day[] {
  const today = Math.floor(nowMs / dayMs) * dayMs
  return Array.from({ length: daysShown }, (_, back) => {
    const startMs = today - (daysShown - 1 - back) * dayMs
    const within = (atMs: number): boolean => atMs >= startMs && atMs < startMs + dayMs
    const verdicts = all.flatMap(({ approvals }) => approvals).filter(({ atMs }) => within(atMs))
    return {
      startMs,
      approved: verdicts.filter(({ verdict }) => verdict === 'approve').length,
      rejected: verdicts.filter(({ verdict }) => verdict === 'reject').length,
      unanswered: all.filter((one) => one.approvals.length === 0 && one.expiresAtMs <= nowMs && within(one.expiresAtMs)).length,
    }
  })
}

/** One question, with what helps to judge it. The verdict is given on the approval page, which the gate renders itself. */
export async function viewRequest({ ports }: Site, request: AccessRequest): Promise<RequestDetail> {
  const nowMs = ports.clock.nowMs()
  const { question } = request
  const copy = await ports.control.newestCopy(question).catch(() => null)
  return {
    nowMs,
    request: shownRequestOf(request, nowMs),
    text: glanceWhole(question.text),
    bindValues: question.bindValues.slice(0, listMax).map((value) => glanceText(canonicalJson(value), 2000)),
    protocol: question.protocol,
    session: request.session,
    operations: question.operations.slice(0, listMax).map(({ resources, tables, dependants, ...rest }) => ({
      ...rest,
      resources: resources.slice(0, listMax).map(({ type, name }) => `${type} ${name}`),
      tables: tables.slice(0, listMax),
      dependants: dependants.slice(0, listMax),
    })),
    copySentence: copySentence(question),
    isCopied: question.copy !== 'impossible' && question.copy !== 'moved',
    newestCopyAtMs: copy?.madeAtMs ?? null,
    limitSentence: limitSentence(question),
    guards: question.guards.map((id) => ({ id, why: ports.control.guardSentence(id) ?? '' })),
    approvals: request.approvals.map(({ person, verdict, atMs, reason }) => ({ person, verdict, atMs, reason })),
    similar: (await ports.requests.list())
      .filter((other) => isSimilar(request, other))
      .toSorted((left, right) => right.createdAtMs - left.createdAtMs)
      .slice(0, similarMax)
      .map((other) => shownRequestOf(other, nowMs)),
  }
}

function isSimilar(request: AccessRequest, other: AccessRequest): boolean {
  return (
    other.id !== request.id &&
    other.question.subject.agent === request.question.subject.agent &&
    other.question.upstream === request.question.upstream &&
    nameActions(other) === nameActions(request)
  )
}

function nameActions({ question }: AccessRequest): string {
  return [...new Set(question.operations.map(({ action }) => action))].toSorted().join(' ')
}

/** Whole, unless it is beyond what a page can carry; then it says so. */
function glanceWhole(text: string): string {
  return text.length <= textCharacters
    ? text
    : `${text.slice(0, textCharacters).toWellFormed()}\n… ${text.length - textCharacters} more characters: see the approval page`
}
