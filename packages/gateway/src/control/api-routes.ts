import { summarizeQuestion } from '@sallyport/console'
import {
  type AccessRequest,
  approvalJson,
  eventJson,
  type Json,
  questionJson,
  scopeText,
  type StandingGrant,
} from '@sallyport/core'
import type { MiddlewareHandler } from 'hono'
import { createMiddleware } from 'hono/factory'
import { z } from 'zod'
import { tooOften } from './admission.ts'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import { limits, rates } from './limits.ts'
import { addHandleRoutes } from './handle-routes.ts'
import { addKeepingRoutes } from './keeping-routes.ts'
import { killScopeShape, readIndex } from './live-routes.ts'
import type { RateLimit } from './rate-limit.ts'
import { addSessionApiRoutes } from './session-routes.ts'
import { unknownOwners } from './second-person.ts'
import { findRequest, postureNow, readId, sessionsOfAll, type Site, type SiteApp } from './site.ts'
import { followFeed, streamText } from './stream.ts'
import { hashSecret, isEqualSecret } from './visitor.ts'

/** What the log says of acts through this API. Nobody can enrol under this name. */
export const operator = 'operator'

/** The command line's token, and never a browser: a page that learnt the token could not use it. */
export function admitOperator(tokenSha256: string, rate: RateLimit): MiddlewareHandler {
  return createMiddleware(async (context, next) => {
    if (context.req.header('origin') !== undefined || context.req.header('sec-fetch-site') !== undefined) {
      throw new Refused(
        403,
        'authentication_failed',
        'This is for the command line, not for browsers.',
        'Nothing was done.',
        'Use the pages.',
      )
    }
    const token = /^Bearer ([\x21-\x7e]{16,512})$/.exec(context.req.header('authorization') ?? '')?.[1] ?? ''
    // No token is never the right one, whatever hash the gate was given.
    if (token !== '' && isEqualSecret(hashSecret(token), tokenSha256)) return next()
    if (!rate.take('bad operator token', rates.badToken)) throw tooOften()
    throw new Refused(
      401,
      'authentication_failed',
      'The operator’s token is missing or wrong.',
      'Nothing was done.',
      'Run the command as the user who started the gate.',
    )
  })
}

const reason = z.string().max(1000).default('')
const killShape = z.union([
  z.strictObject({ ...killScopeShape.options[0].shape, reason }),
  z.strictObject({ ...killScopeShape.options[1].shape, reason }),
])
const handleShape = z.strictObject({
  agent: z.string().min(1).max(256),
  ttlMs: z.number().int().min(1000).max(limits.handleMsMax).nullable().default(null),
})
const copyShape = z.strictObject({
  upstream: z.string().min(1).max(64),
  type: z.string().regex(/^[a-z]{1,32}$/),
  id: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/),
})
const undoShape = z.strictObject({ snapshotId: z.string().min(1).max(256) })
const emptyShape = z.strictObject({})

/** What is kept, and how it comes back. */
function addCopyRoutes(app: SiteApp, { ports: { control } }: Site): void {
  app.get('/api/v1/snapshots', async (context) => context.json({ snapshots: await control.snapshots() }))
  app.get('/api/v1/quarantine', async (context) => context.json({ quarantined: await control.quarantined() }))
  app.post('/api/v1/copies', async (context) => {
    const thing = await readBody(context, copyShape)
    return context.json(await control.copy(thing, operator))
  })
  app.post('/api/v1/undo', async (context) => {
    const { snapshotId } = await readBody(context, undoShape)
    return context.json(await control.undo(snapshotId, operator))
  })
}

/** What agents have in hand: handles, and scope for a time. Ending it needs no passkey. */
function addPowerRoutes(app: SiteApp, { ports: { control } }: Site): void {
  app.post('/api/v1/handles', async (context) => {
    const { agent, ttlMs } = await readBody(context, handleShape)
    return context.json(await control.issueHandle(agent, ttlMs, operator))
  })
  app.post('/api/v1/handles/:id/revoke', async (context) => {
    await readBody(context, emptyShape)
    if (!(await control.revokeHandle(readId(context), operator)))
      throw new Refused(
        404,
        'not_in_scope',
        'No handle of this id is in force.',
        'Nothing was ended.',
        'It may have run out already.',
      )
    return context.json({ revoked: true })
  })
  app.get('/api/v1/standing', (context) => context.json({ standing: control.standing().map(standingJson) }))
  app.post('/api/v1/standing/:id/end', async (context) => {
    await readBody(context, emptyShape)
    const ended = await control.endStanding(readId(context), operator)
    if (ended === null)
      throw new Refused(
        404,
        'not_in_scope',
        'Nothing stands for this request.',
        'Nothing was ended.',
        'It may have run out already.',
      )
    return context.json({ ended: true })
  })
}

/** JSON for the command line. There is no verdict and no release in it: those take a passkey. */
export function addApiRoutes(app: SiteApp, site: Site): void {
  const { control, requests, clock } = site.ports
  app.get('/api/v1/requests', async (context) => {
    const all = (await requests.list()).toSorted((left, right) => right.createdAtMs - left.createdAtMs)
    return context.json({ requests: all.slice(0, limits.requestsListed).map((request) => briefJson(site, request)) })
  })
  app.get('/api/v1/requests/:id', async (context) => {
    const request = await findRequest(site, readId(context))
    const copy = await control.newestCopy(request.question).catch(() => null)
    return context.json({
      ...briefJson(site, request),
      nonce: request.nonce,
      session: request.session,
      question: questionJson(request.question),
      approvals: request.approvals.map(approvalJson),
      newestCopyAtMs: copy?.madeAtMs ?? null,
    })
  })
  app.post('/api/v1/requests/:id/cancel', async (context) => {
    await readBody(context, emptyShape)
    return context.json({ cancelled: await control.cancel(readId(context), operator) })
  })
  app.get('/api/v1/sessions', async (context) => context.json({ sessions: await sessionsOfAll(site) }))
  app.get('/api/v1/kills', async (context) => context.json({ kills: await control.kills() }))
  app.post('/api/v1/kill', async (context) => {
    const { reason: why, ...scope } = await readBody(context, killShape)
    return context.json(await control.kill(scope, why, operator))
  })
  addPowerRoutes(app, site)
  addHandleRoutes(app, site, operator)
  addCopyRoutes(app, site)
  addKeepingRoutes(app, site, operator)
  app.post('/api/v1/enrolment-links', async (context) => {
    await readBody(context, emptyShape)
    const link = await createFirstLink(site)
    return context.json({ url: link.url, expiresAtMs: link.expiresAtMs })
  })
  app.post('/api/v1/configuration/reread', async (context) => {
    await readBody(context, emptyShape)
    return context.json({ ...(await control.configuration.reread()), page: `${site.origin}/configuration` })
  })
  addSessionApiRoutes(app, site)
  addEventRoute(app, site)
  app.get('/api/v1/status', async (context) => {
    const people = await site.ports.people.list()
    return context.json({
      ...(await postureNow(site.ports)),
      nowMs: clock.nowMs(),
      people: people.length,
      unknownOwners: unknownOwners(control, people),
      continuous: control.continuous?.() ?? [],
      deliveries: control.deliveries?.() ?? [],
      onCall: site.ports.overview.onCall?.() ?? [],
      gates: (await control.gates?.list()) ?? null,
      logSize: ((await site.ports.feed.recent(null, 1)).at(-1)?.index ?? -1) + 1,
    })
  })
}

/** One JSON event a line: the newest, then with `follow=1` each as it happens. */
function addEventRoute(app: SiteApp, site: Site): void {
  const { feed, clock } = site.ports
  let streams = 0
  app.get('/api/v1/events', async (context) => {
    const after = readIndex(context.req.query('after'))
    if (context.req.query('follow') !== '1') {
      const records = await feed.recent(after, limits.recent)
      return context.body(
        records.map(({ index, event }) => `${JSON.stringify({ index, ...Object(eventJson(event)) })}\n`).join(''),
        200,
        { 'content-type': 'application/x-ndjson' },
      )
    }
    if (streams >= limits.streams)
      throw new Refused(503, 'limit_exceeded', 'Too many streams are open.', 'This one was not opened.', 'End some of them.')
    streams += 1
    return streamText(
      'application/x-ndjson',
      (signal) => writeLines(followFeed(feed, clock, after, signal)),
      () => (streams -= 1),
    )
  })
}

async function* writeLines(batches: ReturnType<typeof followFeed>): AsyncGenerator<string, void> {
  for await (const { records, skipped } of batches) {
    const lost = skipped > 0 ? `${JSON.stringify({ skipped })}\n` : ''
    // A blank line is a sign of life; readers pass over it.
    yield (
      `${lost}${records.map(({ index, event }) => `${JSON.stringify({ index, ...Object(eventJson(event)) })}\n`).join('')}` ||
      '\n'
    )
  }
}

/** A one-time link for the first person; refused as soon as there is one. For the API and for the gate's start. */
export async function createFirstLink(
  site: Pick<Site, 'ports' | 'origin'>,
): Promise<{ readonly url: string; readonly expiresAtMs: number }> {
  const { people, links, random, clock } = site.ports
  if ((await people.list()).length > 0) {
    throw new Refused(
      409,
      'not_in_scope',
      'Somebody is enrolled already.',
      'No link was made.',
      'Sign in and invite the next person on the People page.',
    )
  }
  const token = random.hex(32)
  const expiresAtMs = clock.nowMs() + limits.linkMs
  const link = { tokenSha256: hashSecret(token), invitedBy: null, createdAtMs: clock.nowMs(), expiresAtMs }
  await links.create({ ...link, usedAtMs: null, confirmation: null, withdrawnAtMs: null })
  return { url: `${site.origin}/enrol#${token}`, expiresAtMs }
}

function standingJson({ scopes, ...grant }: StandingGrant): { readonly [key: string]: Json } {
  return { ...grant, may: scopes.map(scopeText) }
}

function briefJson(site: Site, request: AccessRequest): { readonly [key: string]: Json } {
  const { question } = request
  return {
    id: request.id,
    url: `${site.origin}/requests/${request.id}`,
    state: request.state === 'pending' && request.expiresAtMs <= site.ports.clock.nowMs() ? 'expired' : request.state,
    summary: summarizeQuestion(question),
    agent: question.subject.agent,
    owner: question.subject.owner,
    upstream: question.upstream,
    environment: question.environment,
    approvalsGiven: request.approvals.filter(({ verdict }) => verdict === 'approve').length,
    approvalsNeeded: question.approvalsNeeded,
    createdAtMs: request.createdAtMs,
    expiresAtMs: request.expiresAtMs,
    notBeforeMs: request.notBeforeMs,
    endedBy: request.endedBy,
  }
}
