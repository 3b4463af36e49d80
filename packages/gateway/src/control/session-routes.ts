import { renderSession, renderSessions } from '@sallyport/console'
import type { Context } from 'hono'
import { requirePerson, type Admitted } from './admission.ts'
import { makeFrame, notFound, readId, signedIn, type Site, type SiteApp, toSignIn } from './site.ts'

/** Sessions in one JSON answer. */
const listedMax = 1_000
const agentShape = /^[A-Za-z0-9._-]{1,128}$/

/**
 * What sessions did, as pages and as JSON: `GET /sessions[?agent=A]` and `GET /sessions/:id`, for a signed-in person; with
 * `Accept: application/json` the same addresses answer `{sessions: SessionBrief[], sinceIndex}` and `{story: SessionStory}` (core/src/story).
 * Texts, names and `said` in them are hostile: agents wrote them.
 */
export function addSessionRoutes(app: SiteApp, site: Site): void {
  const { stories, control } = site.ports
  app.get('/sessions', async (context) => {
    const person = signedIn(context)
    if (person === null) return refuseStranger(context)
    const agent = readAgent(context)
    const { sessions, sinceIndex } = await stories.list(agent)
    const others = (await control.gates?.sessionsElsewhere()) ?? []
    const elsewhere = others.filter(({ subject }) => agent === null || subject.agent === agent).slice(0, listedMax)
    if (wantsJson(context)) return context.json({ sessions: sessions.slice(0, listedMax), sinceIndex, elsewhere })
    return context.html(renderSessions(await makeFrame(site, context), { sessions, sinceIndex, agent, elsewhere }))
  })
  app.get('/sessions/:id', async (context) => {
    if (signedIn(context) === null) return refuseStranger(context)
    const story = await stories.tell(readId(context))
    if (story === null) throw notFound()
    return wantsJson(context) ? context.json({ story }) : context.html(renderSession(await makeFrame(site, context), story))
  })
}

/** The same JSON for the command line's token. */
export function addSessionApiRoutes(app: SiteApp, { ports: { stories } }: Site): void {
  app.get('/api/v1/stories', async (context) => {
    const { sessions, sinceIndex } = await stories.list(readAgent(context))
    return context.json({ sessions: sessions.slice(0, listedMax), sinceIndex })
  })
  app.get('/api/v1/stories/:id', async (context) => {
    const story = await stories.tell(readId(context))
    if (story === null) throw notFound()
    return context.json({ story })
  })
}

function refuseStranger(context: Context<Admitted>): Response {
  if (wantsJson(context)) requirePerson(context.get('visitor'))
  return toSignIn(context)
}

function readAgent(context: Context<Admitted>): string | null {
  const agent = context.req.query('agent')
  if (agent === undefined) return null
  if (!agentShape.test(agent)) throw notFound()
  return agent
}

function wantsJson(context: Context<Admitted>): boolean {
  const accept = context.req.header('accept') ?? ''
  return accept.includes('application/json') && !accept.includes('text/html')
}
