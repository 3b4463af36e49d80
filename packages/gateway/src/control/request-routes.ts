import { renderRequest, renderRequests, stateOf } from '@sallyport/console'
import {
  type AccessRequest,
  type Approval,
  type Conditions,
  challengeOf,
  codeChallengeOf,
  findConditionFault,
  isSamePerson,
  sha256Hex,
  visibleLine,
} from '@sallyport/core'
import { z } from 'zod'
import { requirePerson } from './admission.ts'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import { createPendingChallenges } from './challenges.ts'
import { mayUseCode } from './code-verdict.ts'
import { limits } from './limits.ts'
import { assertionOptions, assertionShape } from './passkeys.ts'
import type { Person } from './ports.ts'
import { isOwnerKnown } from './second-person.ts'
import {
  findRequest,
  makeFrame,
  readId,
  refuseSignature,
  requireSigner,
  signedIn,
  type Site,
  type SiteApp,
  toSignIn,
  verifySigner,
} from './site.ts'
import { isEqualSecret } from './visitor.ts'

const verdict = z.enum(['approve', 'reject'])
const reason = z.string().max(1000)
const conditions = z.strictObject({ rowsMax: z.int().min(1).nullable(), notBeforeMs: z.int().min(0).nullable() }).exactOptional()
const breakGlass = z.literal(true).exactOptional()
const askShape = z.strictObject({ verdict, reason, conditions, breakGlass, shown: z.string().regex(/^[0-9a-f]{64}$/) })
const finishShape = z.strictObject({ verdict, reason, conditions, breakGlass, response: assertionShape })

/** The list of requests and the verdict page. */
export function addRequestRoutes(app: SiteApp, site: Site): void {
  app.get('/requests', async (context) => {
    if (signedIn(context) === null) return toSignIn(context)
    const requests = await listed(site)
    return context.html(renderRequests(await makeFrame(site, context), requests, versionOf(site, requests)))
  })
  app.get('/requests/version', async (context) => {
    requirePerson(context.get('visitor'))
    return context.text(versionOf(site, await listed(site)))
  })
  app.get('/requests/:id/version', async (context) => {
    requirePerson(context.get('visitor'))
    return context.text(versionOf(site, [await findRequest(site, readId(context))]))
  })
  app.get('/requests/:id', async (context) => {
    const person = signedIn(context)
    if (person === null) return toSignIn(context)
    const request = await findRequest(site, readId(context))
    const { control } = site.ports
    const guardSentences = new Map(request.question.guards.flatMap((id) => pairOf(id, control.guardSentence(id))))
    const copy = await control.newestCopy(request.question).catch(() => null)
    return context.html(
      renderRequest(await makeFrame(site, context), {
        request,
        challenges: {
          approve: challengeOf(request, 'approve'),
          reject: challengeOf(request, 'reject'),
          breakGlass: (await control.glassFault(person.name)) === null ? challengeOf(request, 'approve', undefined, true) : null,
          code: mayUseCode(site, person, request) ? codeChallengeOf(request) : null,
        },
        reviews: (await control.reviews()).some((review) => review.request === request.id),
        newestCopyAtMs: copy?.madeAtMs ?? null,
        guardSentences,
        cannotApprove: await cautionFor(site, person, request),
        version: versionOf(site, [request]),
        plan: await findPlanOf(site, request.id),
        aheadUses: await countAheadUses(site, request),
        standsUntilMs: control.standing().find((grant) => grant.request === request.id)?.expiresAtMs ?? null,
      }),
    )
  })
  app.post('/requests/:id/cancel', async (context) => {
    const { person } = requirePerson(context.get('visitor'))
    if (!(await site.ports.control.cancel(readId(context), person.name))) {
      throw new Refused(409, 'target_changed', 'It had ended already, or ran.', 'Nothing was cancelled.')
    }
    return context.json({ message: 'Cancelled. It will not run.' })
  })
  app.post('/requests/:id/end-standing', async (context) => {
    const { person } = requirePerson(context.get('visitor'))
    if ((await site.ports.control.endStanding(readId(context), person.name)) === null)
      throw new Refused(409, 'target_changed', 'It does not stand any more.', 'Nothing was ended.')
    return context.json({ message: 'Ended.' })
  })
  addVerdictRoutes(app, site)
}

/** How often an approval ahead was used: requests that nobody answered but it. Null: this is none. */
async function countAheadUses(site: Site, { question, notBeforeMs }: AccessRequest): Promise<number | null> {
  const { ahead, subject } = question
  if (ahead === undefined || notBeforeMs === null) return null
  const uses = (await site.ports.requests.list()).filter(
    (one) =>
      one.question.digest === ahead.digest &&
      one.question.subject.agent === subject.agent &&
      one.createdAtMs >= notBeforeMs &&
      one.createdAtMs < notBeforeMs + ahead.forMs &&
      one.notBeforeMs !== null &&
      one.approvals.length === 0,
  )
  return uses.length
}

/** The plan that a request is a step of, if it is one that still counts. */
async function findPlanOf(site: Site, id: string): Promise<string | null> {
  const plans = (await listed(site)).filter(({ state }) => state === 'pending' || state === 'approved')
  return plans.find(({ question }) => question.steps?.some(({ request }) => request === id))?.id ?? null
}

/** A verdict needs a signature over its own challenge, asked for by this session, for this request and this verdict, once. */
function addVerdictRoutes(app: SiteApp, site: Site): void {
  const challenges = createPendingChallenges<null>(site.ports.clock)

  app.post('/requests/:id/challenge', async (context) => {
    const visitor = requireSigner(site, context)
    const body = await readBody(context, askShape)
    const request = await findRequest(site, readId(context))
    checkOpen(site, request)
    if (body.verdict === 'approve') await checkOwner(site, visitor.person, request)
    if (!isEqualSecret(challengeOf(request, body.verdict, undefined, body.breakGlass), body.shown)) throw changed()
    checkConditions(site, request, body)
    const challenge = challengeOf(request, body.verdict, body.conditions, body.breakGlass)
    challenges.issue(visitor.browser, purposeOf(request.id, body.verdict), challenge, null)
    return context.json({ publicKey: assertionOptions(challenge, visitor.person.passkeys) })
  })

  app.post('/requests/:id/verdict', async (context) => {
    const visitor = requireSigner(site, context)
    const body = await readBody(context, finishShape)
    const request = await findRequest(site, readId(context))
    const purpose = { request: request.id, verdict: body.verdict }
    const asked = challenges.take(visitor.browser, purposeOf(request.id, body.verdict))
    if (asked === null) {
      await refuseSignature(site, visitor.person, 'No signature was asked for here, or it was used, or came too late.', purpose)
      throw new Refused(
        409,
        'authentication_failed',
        'This signature was not asked for here, was used, or came too late.',
        'No verdict was given.',
      )
    }
    checkOpen(site, request)
    if (body.verdict === 'approve') await checkOwner(site, visitor.person, request)
    // The question may have changed between the asking and the signing.
    const challenge = challengeOf(request, body.verdict, body.conditions, body.breakGlass)
    if (!isEqualSecret(challenge, asked.challenge)) {
      await refuseSignature(site, visitor.person, 'The question changed after it was shown.', purpose)
      throw changed()
    }
    const signature = await verifySigner(site, visitor.person, body.response, challenge, purpose)
    const approval: Approval = {
      person: visitor.person.name,
      verdict: body.verdict,
      atMs: site.ports.clock.nowMs(),
      challenge,
      credentialId: signature.credentialId,
      evidence: signature.evidence,
      reason: body.reason.trim().toWellFormed(),
      ...(body.conditions === undefined ? {} : { conditions: body.conditions }),
      ...(body.breakGlass === undefined ? {} : { breakGlass: body.breakGlass }),
    }
    const result = await site.ports.control.verdict(request.id, approval)
    switch (result.result) {
      case 'recorded':
        return context.json({ message: `Recorded: ${result.state}.`, state: result.state, go: `/requests/${request.id}` })
      case 'refused':
        throw new Refused(409, 'refused_by_guard', result.why, 'No verdict was given.', 'Nothing more to do here.')
    }
  })
}

function purposeOf(id: string, given: 'approve' | 'reject'): string {
  return `verdict ${given} ${id}`
}

/** Said before the passkey is asked for; judged again with the verdict. */
function checkConditions(
  site: Site,
  { question }: AccessRequest,
  { verdict, conditions }: { readonly verdict: 'approve' | 'reject'; readonly conditions?: Conditions },
): void {
  const fault = verdict === 'reject' ? null : findConditionFault(question, conditions, site.ports.clock.nowMs())
  if (fault !== null)
    throw new Refused(403, 'refused_by_guard', fault, 'No verdict was given.', 'Change the conditions, or approve without any.')
}

export function checkOpen(site: Site, request: AccessRequest): void {
  const state = stateOf(request, site.ports.clock.nowMs())
  if (state === 'pending') return
  throw new Refused(
    state === 'expired' ? 410 : 409,
    'approval_expired',
    `This request is ${state === 'cooling' ? 'approved' : state}.`,
    'No verdict was given.',
    'The agent has to ask again.',
  )
}

/** In team mode nobody approves while the owner is not enrolled: under another name, the owner might be the one who does. */
export async function checkOwner(site: Site, person: Person, request: AccessRequest): Promise<void> {
  const { control, people } = site.ports
  const { agent, owner } = request.question.subject
  if (isOwnerKnown(control, owner, await people.list())) return
  const why = `${agent} belongs to ${visibleLine(owner)}, and nobody is enrolled under that name: the gate cannot tell who must not approve.`
  await refuseSignature(site, person, why, { request: request.id, verdict: 'approve' })
  throw new Refused(
    403,
    'refused_by_guard',
    why,
    'No verdict was given.',
    'Enrol the owner under that name, or name somebody who is enrolled as the owner in sallyport.yaml.',
  )
}

export function changed(): Refused {
  return new Refused(
    409,
    'target_changed',
    'What is asked is no longer what was shown.',
    'No verdict was given.',
    'Reload the page and read it again.',
  )
}

async function cautionFor(site: Site, person: Person, request: AccessRequest): Promise<string | null> {
  const { control, people } = site.ports
  const { owner } = request.question.subject
  if (!isOwnerKnown(control, owner, await people.list()))
    return `Nobody is enrolled as ${visibleLine(owner)}, the owner of this agent, who might be anybody here. Until somebody is, nobody can approve; you can reject.`
  if (!isSamePerson(person.name, owner)) return null
  return control.posture().mode === 'team'
    ? 'You own this agent. Somebody else has to approve; you can reject.'
    : 'You own this agent, and nobody else looks at this (solo mode).'
}

function pairOf(id: string, sentence: string | null): readonly (readonly [string, string])[] {
  return sentence === null ? [] : [[id, sentence]]
}

/** Newest first; what waits is never cut off by what is decided. */
async function listed(site: Site): Promise<readonly AccessRequest[]> {
  const all = (await site.ports.requests.list()).toSorted((left, right) => right.createdAtMs - left.createdAtMs)
  const open = all.filter(({ state }) => state === 'pending' || state === 'approved')
  const ended = all.filter(({ state }) => state !== 'pending' && state !== 'approved')
  return [...open, ...ended.slice(0, limits.requestsListed)]
}

/** Differs when what a page shows differs. */
function versionOf(site: Site, requests: readonly AccessRequest[]): string {
  const nowMs = site.ports.clock.nowMs()
  return sha256Hex(
    requests
      .map((request) => `${request.id} ${stateOf(request, nowMs)} ${request.approvals.length} ${challengeOf(request, 'approve')}`)
      .join('\n'),
  ).slice(0, 16)
}
