import {
  renderApp,
  renderProblem,
  type Built,
  type LiveMessage,
  type NowView,
  shownLineOf,
  shownRequestOf,
  type SignsView,
  stateOf,
} from '@sallyport/console'
import { type Event, type Session, visibleLine } from '@sallyport/core'
import type { Context, MiddlewareHandler } from 'hono'
import { createMiddleware } from 'hono/factory'
import { type Admitted, requirePerson } from './admission.ts'
import { Refused } from './answer.ts'
import { addConsolePageRoutes } from './console-page-routes.ts'
import { limits } from './limits.ts'
import { nameScope, readIndex } from './live-routes.ts'
import { makeFrame, notFound, postureNow, signedIn, type Site, type SiteApp, toSignIn } from './site.ts'
import { type Batch, followFeed, streamText } from './stream.ts'
import { Tally } from './tally.ts'

/** For the app's own questions: somebody is signed in, and no other page asks. What is read here is shown to people only. */
const admitApp: MiddlewareHandler<Admitted> = createMiddleware<Admitted>(async (context, next) => {
  const site = context.req.header('sec-fetch-site')
  if (site !== undefined && site !== 'same-origin')
    throw new Refused(403, 'authentication_failed', 'This was asked by another page.', 'Nothing was shown.', 'Open the console.')
  requirePerson(context.get('visitor'))
  return next()
})

/** The console: one document, the files of the app under names that hold their hash, and what the app asks for. */
export function addConsoleRoutes(app: SiteApp, site: Site, built: Built | null): void {
  app.use('/console/data/*', admitApp)
  app.use('/console/stream', admitApp)
  const tally = beginTallyOnce(site)
  addNowRoute(app, site, tally)
  addStreamRoute(app, site, tally)
  addConsolePageRoutes(app, site, tally)
  app.get('/console/data/*', () => {
    throw notFound()
  })
  app.get('/console/*', (context) => showApp(site, context, built))
  app.get('/console', (context) => context.redirect('/console/now', 303))
}

/** The app's files: the same for everybody, so that nobody is looked up for them. */
export function addBuiltRoute(app: SiteApp, built: Built | null): void {
  app.get('/console/assets/:name', (context) => {
    const file = built?.files.get(context.req.param('name'))
    if (file === undefined) throw notFound()
    const packs = /\bgzip\b/.test(context.req.header('accept-encoding') ?? '')
    return context.body(packs ? file.packed : file.bytes, 200, {
      'content-type': file.contentType,
      // The name changes with what is in it.
      'cache-control': 'public, max-age=31536000, immutable',
      vary: 'accept-encoding',
      ...(packs ? { 'content-encoding': 'gzip' } : {}),
    })
  })
}

async function showApp(site: Site, context: Context<Admitted>, built: Built | null): Promise<Response> {
  if (signedIn(context) === null) return toSignIn(context)
  const frame = await makeFrame(site, context)
  if (built !== null) return context.html(renderApp(frame, built))
  const problem = {
    title: 'The console is not built',
    message: 'This gate was started without the console. Its other pages need no build.',
    next: 'Run “node tools/run.js build-console” in its folder and start it again, or go to the requests.',
  }
  return context.html(renderProblem(frame, problem), 503)
}

/** Counting begins with the first look and goes on: nobody pays for it who never opens the console. */
function beginTallyOnce({ ports }: Site): () => Promise<Tally> {
  let begun: Promise<Tally> | null = null
  return async () => {
    begun ??= Tally.begin(ports.feed, ports.overview.record, ports.clock)
    try {
      return await begun
    } catch (error) {
      begun = null
      throw error
    }
  }
}

function addNowRoute(app: SiteApp, site: Site, begin: () => Promise<Tally>): void {
  const { control, feed, clock, requests, overview } = site.ports
  app.get('/console/data/signs', async (context) => {
    const [kills, all] = await Promise.all([control.kills(), requests.list()])
    const nowMs = clock.nowMs()
    const view: SignsView = {
      waiting: all.filter((request) => stateOf(request, nowMs) === 'pending').length,
      stopped: kills.slice(0, limits.linesInMessage).map(({ scope }) => visibleLine(nameScope(scope))),
      isProposed: control.configuration.proposal() !== null,
    }
    return context.json(view)
  })
  app.get('/console/data/now', async (context) => {
    const tally = await begin()
    const nowMs = clock.nowMs()
    const [records, sessions, kills, all, posture] = await Promise.all([
      feed.recent(null, limits.linesListed),
      control.sessions(),
      control.kills(),
      requests.list(),
      postureNow(site.ports),
    ])
    const waiting = all
      .map((request) => shownRequestOf(request, nowMs))
      .filter(({ state }) => state === 'pending' || state === 'cooling')
    const view: NowView = {
      nowMs,
      person: requirePerson(context.get('visitor')).person.name,
      ...posture,
      isProposed: control.configuration.proposal() !== null,
      sessions: sessions.slice(0, limits.sessionsListed).map(shownSessionOf),
      sessionsInAll: sessions.length,
      kills: kills.map(({ id, scope, reason, by, atMs }) => ({
        id,
        scope: { kind: scope.kind, id: 'id' in scope ? scope.id : '*' },
        sentence: nameScope(scope),
        reason,
        by,
        atMs,
      })),
      agents: control.owners().map(({ agent, owner }) => ({ name: agent, owner })),
      waiting: waiting.toSorted((left, right) => left.createdAtMs - right.createdAtMs).slice(0, limits.requestsListed),
      waitingInAll: waiting.length,
      acting: tally.acting.latest(nowMs, limits.sessionsListed),
      environments: Object.fromEntries(overview.upstreams().map(({ name, environment }) => [name, environment])),
      refused: [...tally.acting.refused()],
      lines: records.map(({ index, event }) => shownLineOf(index, event)).toReversed(),
      minutes: tally.minutes(),
      totals: tally.totals(),
      logSize: tally.size,
    }
    return context.json(view)
  })
}

function shownSessionOf({ id, subject, upstream, protocol, peer, openedAtMs }: Session): NowView['sessions'][number] {
  return { id, agent: subject.agent, owner: subject.owner, upstream, protocol, peer, openedAtMs }
}

function addStreamRoute(app: SiteApp, site: Site, begin: () => Promise<Tally>): void {
  let streams = 0
  app.get('/console/stream', async (context) => {
    const { idSha256 } = requirePerson(context.get('visitor'))
    if (streams >= limits.streams)
      throw new Refused(503, 'limit_exceeded', 'Too many live views are open.', 'This one was not opened.', 'Close some tabs.')
    streams += 1
    try {
      const tally = await begin()
      const after = readIndex(context.req.header('last-event-id')) ?? readIndex(context.req.query('after'))
      return streamText(
        'text/event-stream',
        (signal) => writeLive(site, tally, { after, idSha256 }, signal),
        () => (streams -= 1),
      )
    } catch (error) {
      streams -= 1
      throw error
    }
  })
}

async function* writeLive(
  site: Site,
  tally: Tally,
  { after, idSha256 }: { readonly after: number | null; readonly idSha256: string },
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  const { feed, clock } = site.ports
  let checkedAtMs = clock.nowMs()
  for await (const batch of followFeed(feed, clock, after, signal)) {
    const nowMs = clock.nowMs()
    if (nowMs - checkedAtMs >= limits.heartbeatMs) {
      if (!(await site.visitors.isSignedIn(idSha256))) return
      checkedAtMs = nowMs
    }
    const last = batch.records.at(-1)
    const id = last === undefined ? '' : `id: ${last.index}\n`
    yield `event: live\n${id}data: ${JSON.stringify(liveMessageOf(batch, tally, nowMs))}\n\n`
  }
}

const changing = /^(session|request|configuration|person|passkey)\.|^(kill|release|verdict|alarm)$/

function liveMessageOf(batch: Batch, tally: Tally, nowMs: number): LiveMessage {
  const shown = batch.records.slice(-limits.linesInMessage)
  const isChanging = ({ event }: { readonly event: Event }): boolean => changing.test(event.type)
  return {
    nowMs,
    logSize: tally.size,
    totals: tally.totals(),
    minute: tally.minute(),
    acting: tally.acting.latest(nowMs, limits.actingInMessage),
    lines: shown.map(({ index, event }) => shownLineOf(index, event)),
    skipped: batch.skipped + batch.records.length - shown.length,
    changed: batch.skipped > 0 || batch.records.some(isChanging),
  }
}
