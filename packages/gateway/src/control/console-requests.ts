import {
  copySentence,
  type Day,
  glanceText,
  type InboxRequest,
  limitSentence,
  type RequestDetail,
  type RequestsView,
  shownRequestOf,
  stateOf,
} from '@sallyport/console'
import {
  type AccessRequest,
  type Approval,
  canonicalJson,
  findRoutines,
  isByCode,
  isMember,
  isSamePerson,
  type Routine,
  scopeText,
} from '@sallyport/core'
import { limits } from './limits.ts'
import type { Site } from './site.ts'

const dayMs = 86_400_000
const daysShown = 30
/** Of one question, in the answer: the approval page has what is beyond it. */
const listMax = 200
const textCharacters = 100_000
const similarMax = 8

const routinesMax = 50
/** Before it is one: asked twice is chance. */
const routineMin = 3
const likeCharacters = 16

/** The inbox: what waits first, then what was decided, newest first, and how people answer. */
export async function viewRequests({ ports }: Site): Promise<RequestsView> {
  const { control, overview } = ports
  const nowMs = ports.clock.nowMs()
  const all = (await ports.requests.list()).toSorted((left, right) => right.createdAtMs - left.createdAtMs)
  const routines = findRoutines(all, nowMs, overview.policy().rowsWithoutPrompt)
  const shown = showAll(all, routines, nowMs)
  const isOpen = ({ state }: { readonly state: string }): boolean => state === 'pending' || state === 'cooling'
  const waits = all.flatMap(waitOf).toSorted((left, right) => left.atMs - right.atMs)
  return {
    nowMs,
    requests: [...shown.filter(isOpen), ...shown.filter((request) => !isOpen(request))].slice(0, limits.requestsInbox),
    inAll: all.length,
    routines: routines
      .filter(({ asked }) => asked >= routineMin)
      .slice(0, routinesMax)
      .map(viewRoutine),
    standing: control
      .standing()
      .slice(0, listMax)
      .map(({ request, agent, upstream, scopes, reason, approvers, fromMs, expiresAtMs }) => ({
        request,
        agent,
        upstream,
        lines: scopes.map(scopeText),
        reason,
        approvers,
        fromMs,
        untilMs: expiresAtMs,
      })),
    reviews: (await control.reviews()).map(({ request, person, agent, atMs }) => ({ request, person, agent, atMs })),
    days: countDays(all, nowMs),
    waitsMs: waits.slice(-listMax),
    verdicts: waits.length,
    verdictsUnderThreeSeconds: waits.filter(({ waitMs }) => waitMs < 3000).length,
  }
}

function showAll(all: readonly AccessRequest[], routines: readonly Routine[], nowMs: number): readonly InboxRequest[] {
  const likes = new Map(routines.flatMap(({ key, requests }) => requests.map((id) => [id, key] as const)))
  return all.map((request) => viewInboxRequest(request, nowMs, likes.get(request.id) ?? request.id))
}

function viewInboxRequest(request: AccessRequest, nowMs: number, like: string): InboxRequest {
  const isAccess = request.question.protocol === 'sallyport'
  return { ...shownRequestOf(request, nowMs), like: like.slice(0, likeCharacters), isAccess }
}

function viewRoutine({
  resources,
  requests: _ids,
  environment: _environment,
  waiting: _waiting,
  ...rest
}: Routine): RequestsView['routines'][number] {
  return { ...rest, key: rest.key.slice(0, likeCharacters), resources: resources.slice(0, 5) }
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
  const quorum = await ports.overview.quorumOf(question.upstream)
  const ownerCounts = ports.control.posture().mode === 'solo'
  const isCounted = (person: string): boolean =>
    (quorum === null || isMember(quorum, person)) && (ownerCounts || !isSamePerson(person, question.subject.owner))
  return {
    nowMs,
    request: viewInboxRequest(request, nowMs, request.id),
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
    operationsInAll: question.operations.length,
    steps: await viewSteps(ports, question, nowMs),
    copySentence: copySentence(question),
    isCopied: question.copy !== 'impossible' && question.copy !== 'moved',
    newestCopyAtMs: copy?.madeAtMs ?? null,
    limitSentence: limitSentence(question),
    guards: question.guards.map((id) => ({ id, why: ports.control.guardSentence(id) ?? '' })),
    quorum: quorum === null ? null : { group: quorum.group, members: quorum.members.slice(0, listMax) },
    approvals: request.approvals.map((approval) => viewApproval(approval, isCounted)),
    endedBy: request.endedBy,
    standsUntilMs: ports.control.standing().find((grant) => grant.request === request.id)?.expiresAtMs ?? null,
    reviewDue: (await ports.control.reviews()).some((review) => review.request === request.id),
    similar: (await ports.requests.list())
      .filter((other) => isSimilar(request, other))
      .toSorted((left, right) => right.createdAtMs - left.createdAtMs)
      .slice(0, similarMax)
      .map((other) => shownRequestOf(other, nowMs)),
  }
}

/** Each is a request of its own, which knows how far it is. */
async function viewSteps(
  { requests }: Site['ports'],
  { steps = [] }: AccessRequest['question'],
  nowMs: number,
): Promise<RequestDetail['steps']> {
  return Promise.all(
    steps.slice(0, listMax).map(async ({ request, protocol, text, operationsCount, copy, rowsMax }) => {
      const own = await requests.get(request)
      return {
        request,
        protocol,
        text: glanceWhole(text),
        operationsCount,
        copySentence: copySentence({ copy, protocol }),
        limitSentence: limitSentence({ rowsMax, protocol }),
        state: own === null ? null : stateOf(own, nowMs),
      }
    }),
  )
}

function viewApproval(approval: Approval, isCounted: (person: string) => boolean): RequestDetail['approvals'][number] {
  const { person, verdict, atMs, reason, conditions = null, breakGlass } = approval
  const brokeGlass = breakGlass === true
  const counts = verdict === 'approve' && (brokeGlass || isCounted(person))
  return { person, verdict, atMs, reason, conditions, brokeGlass, byCode: isByCode(approval), counts }
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
