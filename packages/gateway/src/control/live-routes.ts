import { type KillLine, liveLineOf, renderLive, sessionLineOf } from '@sallyport/console'
import { digestJson, type Json } from '@sallyport/core'
import { z } from 'zod'
import { requirePerson } from './admission.ts'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import { createPendingChallenges } from './challenges.ts'
import { limits } from './limits.ts'
import { assertionOptions, assertionShape } from './passkeys.ts'
import type { Kill, KillScope } from './ports.ts'
import {
  makeFrame,
  notFound,
  readId,
  requireSigner,
  sessionsOfAll,
  signedIn,
  type Site,
  type SiteApp,
  toSignIn,
  verifySigner,
} from './site.ts'
import { type Batch, followFeed, streamText } from './stream.ts'

export const killScopeShape = z.union([
  z.strictObject({ kind: z.enum(['session', 'agent', 'owner', 'upstream']), id: z.string().min(1).max(256) }),
  z.strictObject({ kind: z.literal('all'), id: z.literal('*') }),
])

export function addLiveRoutes(app: SiteApp, site: Site): void {
  const { control, feed } = site.ports
  app.get('/live', async (context) => {
    if (signedIn(context) === null) return toSignIn(context)
    const [records, sessions, kills] = await Promise.all([feed.recent(null, limits.recent), sessionsOfAll(site), control.kills()])
    return context.html(
      renderLive(await makeFrame(site, context), {
        lines: records.map(({ index, event }) => liveLineOf(index, event)),
        sessions: sessions.map(sessionLineOf),
        agents: control.agents(),
        kills: kills.map(killLineOf),
      }),
    )
  })
  app.post('/kill', async (context) => {
    const { person, by } = requirePerson(context.get('visitor'))
    const scope = await readBody(context, killScopeShape)
    const why = by === 'account' ? 'from the live page, by an account without a passkey' : 'from the live page'
    const killed = await control.kill(scope, why, person.name)
    return context.json({ message: `Stopped in ${killed.acknowledgedMs.toFixed(1)} ms; ${killed.sessionsEnded} sessions ended.` })
  })
  addStreamRoute(app, site)
  addReleaseRoutes(app, site)
}

function addStreamRoute(app: SiteApp, site: Site): void {
  let streams = 0
  app.get('/live/stream', (context) => {
    const { idSha256 } = requirePerson(context.get('visitor'))
    if (streams >= limits.streams)
      throw new Refused(503, 'limit_exceeded', 'Too many live views are open.', 'This one was not opened.', 'Close some tabs.')
    streams += 1
    const after = readIndex(context.req.header('last-event-id')) ?? readIndex(context.req.query('after'))
    return streamText(
      'text/event-stream',
      (signal) => writeEvents(site, after, idSha256, signal),
      () => (streams -= 1),
    )
  })
}

export function readIndex(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null
}

const changesSessions = new Set(['session.opened', 'session.closed', 'kill', 'release'])

/** Server-sent events: a batch of lines under the index of its last, the sessions when they changed, a comment as sign of life. */
async function* writeEvents(
  site: Site,
  after: number | null,
  idSha256: string,
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  let checkedAtMs = site.ports.clock.nowMs()
  for await (const batch of followFeed(site.ports.feed, site.ports.clock, after, signal)) {
    const nowMs = site.ports.clock.nowMs()
    if (nowMs - checkedAtMs >= limits.heartbeatMs) {
      if (!(await site.visitors.isSignedIn(idSha256))) return
      checkedAtMs = nowMs
    }
    yield await writeBatch(site, batch)
  }
}

async function writeBatch(site: Site, batch: Batch): Promise<string> {
  const last = batch.records.at(-1)
  if (last === undefined && batch.skipped === 0) return ': still here\n\n'
  const lines = batch.records.map(({ index, event }) => liveLineOf(index, event))
  const id = last === undefined ? '' : `id: ${last.index}\n`
  const text = `event: lines\n${id}data: ${JSON.stringify({ lines, skipped: batch.skipped })}\n\n`
  if (!batch.records.some(({ event }) => changesSessions.has(event.type))) return text
  const sessions = (await sessionsOfAll(site)).map(sessionLineOf)
  return `${text}event: sessions\ndata: ${JSON.stringify(sessions)}\n\n`
}

const emptyShape = z.strictObject({})
const finishShape = z.strictObject({ response: assertionShape })

/** Releasing a kill widens again, so it takes a passkey over exactly this kill. */
function addReleaseRoutes(app: SiteApp, site: Site): void {
  const { control, clock, random } = site.ports
  const challenges = createPendingChallenges<Json>(clock)
  const findKill = async (id: string): Promise<Kill> => {
    const kill = (await control.kills()).find((one) => one.id === id)
    if (kill === undefined) throw notFound()
    return kill
  }
  app.post('/kills/:id/challenge', async (context) => {
    const visitor = requireSigner(site, context)
    await readBody(context, emptyShape)
    const kill = await findKill(readId(context))
    const statement = {
      v: 1,
      purpose: 'sallyport release',
      kill: kill.id,
      scope: { ...kill.scope },
      person: visitor.person.name,
      nonce: random.hex(16),
      expiresAtMs: clock.nowMs() + limits.challengeMs,
    }
    const challenge = digestJson(statement)
    challenges.issue(visitor.browser, `release ${kill.id}`, challenge, statement)
    return context.json({ publicKey: assertionOptions(challenge, visitor.person.passkeys) })
  })
  app.post('/kills/:id/release', async (context) => {
    const visitor = requireSigner(site, context)
    const { response } = await readBody(context, finishShape)
    const kill = await findKill(readId(context))
    const asked = challenges.take(visitor.browser, `release ${kill.id}`)
    if (asked === null)
      throw new Refused(
        409,
        'authentication_failed',
        'This signature was not asked for here, was used, or came too late.',
        'Nothing was released.',
      )
    const signature = await verifySigner(site, visitor.person, response, asked.challenge, { what: 'release', kill: kill.id })
    const signed = { person: visitor.person.name, challenge: asked.challenge, statement: asked.matter, ...signature }
    if (!(await control.release(kill.id, signed)))
      throw new Refused(409, 'target_changed', 'It was released already.', 'Nothing was released.')
    return context.json({ message: 'Released.', go: '/live' })
  })
}

function killLineOf(kill: Kill): KillLine {
  return { id: kill.id, scope: nameScope(kill.scope), reason: kill.reason, by: kill.by, atMs: kill.atMs }
}

export function nameScope(scope: KillScope): string {
  switch (scope.kind) {
    case 'all':
      return 'Everything is stopped'
    case 'session':
      return `Session ${scope.id} is stopped`
    case 'agent':
      return `Agent ${scope.id} is stopped`
    case 'owner':
      return `All agents of ${scope.id} are stopped`
    case 'upstream':
      return `Upstream ${scope.id} is stopped`
  }
}
