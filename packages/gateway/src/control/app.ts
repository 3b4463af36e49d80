import { assets, type Frame, readBuilt, renderProblem } from '@sallyport/console'
import { type Context, Hono } from 'hono'
import { type Admitted, admitBody, admitHost, admitPost, answerSafely } from './admission.ts'
import { type Refused, toRefused } from './answer.ts'
import { addAccountRoutes } from './account-routes.ts'
import { addAheadRoute } from './ahead-routes.ts'
import { addApiRoutes, admitOperator, operator } from './api-routes.ts'
import { createConnections } from './connections.ts'
import { addCodeAppRoutes } from './code-app-routes.ts'
import { addCodeVerdictRoute } from './code-verdict-route.ts'
import { addConfigurationRoutes } from './configuration-routes.ts'
import { addBuiltRoute, addConsoleRoutes } from './console-routes.ts'
import { addEnrolRoutes } from './enrol-routes.ts'
import { addInvitationRoutes } from './invitation-routes.ts'
import { addLiveRoutes } from './live-routes.ts'
import { addPasskeyRoutes } from './passkey-routes.ts'
import { addPeopleRoutes } from './people-routes.ts'
import type { ControlPorts, ControlSettings } from './ports.ts'
import { createRateLimit } from './rate-limit.ts'
import { addRemovalRoutes } from './removal-routes.ts'
import { addRequestRoutes } from './request-routes.ts'
import { addSessionRoutes } from './session-routes.ts'
import { addReviewRoutes } from './review-routes.ts'
import { addSignInRoutes } from './sign-in-routes.ts'
import { makeFrame, notFound, type Site, type SiteApp } from './site.ts'
import { tellTry, tellTryOfPerson } from './tried.ts'
import { addVaultRoutes } from './vault-routes.ts'
import { createVisitors } from './visitor.ts'

/** The people's pages and the command line's API, as one function from request to answer. */
export function createControlApp(ports: ControlPorts, settings: ControlSettings): { readonly app: SiteApp; readonly site: Site } {
  const origin = `http://localhost:${settings.port}`
  const site: Site = {
    ports,
    origin,
    visitors: createVisitors(ports),
    rate: createRateLimit(ports.clock),
    drill: settings.drill === true,
  }
  const app: SiteApp = new Hono<Admitted>()
  app.use(answerSafely(ports.random))
  app.use(admitHost(settings.port))
  app.use(admitBody)
  const built = readBuilt()
  addAssetRoute(app)
  addBuiltRoute(app, built)
  app.use('/api/*', admitOperator(settings.operatorTokenSha256, site.rate))
  addApiRoutes(app, site)
  app.all('/api/*', async (context) => {
    await tellTry(site, context, operator)
    throw notFound()
  })
  app.use(admitPost(site.visitors, site.rate, origin))
  app.get('/', (context) => context.redirect(built === null ? '/requests' : '/console/now', 303))
  addEnrolRoutes(app, site)
  const connections = createConnections(ports)
  addSignInRoutes(app, site, connections)
  addAccountRoutes(app, site, connections)
  addRequestRoutes(app, site)
  addReviewRoutes(app, site)
  addAheadRoute(app, site)
  addLiveRoutes(app, site)
  addSessionRoutes(app, site)
  addPeopleRoutes(app, site)
  addInvitationRoutes(app, site)
  addRemovalRoutes(app, site)
  addPasskeyRoutes(app, site)
  addCodeAppRoutes(app, site)
  addCodeVerdictRoute(app, site)
  addConfigurationRoutes(app, site)
  addVaultRoutes(app, site)
  addConsoleRoutes(app, site, built)
  app.notFound(async (context) => {
    await tellTryOfPerson(site, context)
    throw notFound()
  })
  addErrorAnswers(app, site)
  return { app, site }
}

function addAssetRoute(app: SiteApp): void {
  app.get('/assets/:name', (context) => {
    const script = assets.get(context.req.param('name'))
    if (script === undefined) throw notFound()
    return context.body(script, 200, { 'content-type': 'text/javascript; charset=utf-8', 'cache-control': 'no-cache' })
  })
}

function addErrorAnswers(app: SiteApp, site: Site): void {
  app.onError(async (error, context) => {
    const refused = toRefused(error)
    const { code, message, notDone, next } = refused
    if (refused.status === 405) await tellTryOfPerson(site, context)
    const wantsPage = context.req.method === 'GET' && (context.req.header('accept') ?? '').includes('text/html')
    // Refused before anybody looked who it is: there is no frame to put a page in.
    if (!wantsPage || !context.get('visitor')) return context.json({ error: { code, message, notDone, next } }, refused.status)
    const frame = await tryFrame(site, context)
    if (frame === null) return context.json({ error: { code, message, notDone, next } }, refused.status)
    return context.html(renderProblem(frame, { title: titleOf(refused), message: `${message} ${notDone}`, next }), refused.status)
  })
}

/** The store may be what failed. */
async function tryFrame(site: Site, context: Context<Admitted>): Promise<Frame | null> {
  try {
    return await makeFrame(site, context)
  } catch {
    return null
  }
}

function titleOf(refused: Refused): string {
  if (refused.status === 404) return 'Not found'
  return refused.status === 401 ? 'Sign in first' : 'That did not work'
}
