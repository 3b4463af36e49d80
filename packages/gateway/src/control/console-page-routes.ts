import { z } from 'zod'
import { requirePerson } from './admission.ts'
import { Refused } from './answer.ts'
import { viewAgents } from './console-agents.ts'
import { logQueryShape, searchLog, viewEntry } from './console-log.ts'
import { viewPeople } from './console-people.ts'
import { addKeepingPageRoutes } from './console-keeping.ts'
import { addPolicyRoutes } from './console-policy.ts'
import { viewRequest, viewRequests } from './console-requests.ts'
import { viewUpstreams } from './console-upstreams.ts'
import { viewVault } from './console-vault.ts'
import { findRequest, notFound, readId, type Site, type SiteApp } from './site.ts'
import type { Tally } from './tally.ts'

const indexShape = z.string().regex(/^\d{1,15}$/)

/** What each page of the console asks for. All of it is read; what changes anything has routes of its own. */
export function addConsolePageRoutes(app: SiteApp, site: Site, begin: () => Promise<Tally>): void {
  app.get('/console/data/requests', async (context) => context.json(await viewRequests(site)))
  app.get('/console/data/requests/:id', async (context) =>
    context.json(await viewRequest(site, await findRequest(site, readId(context)))),
  )
  app.get('/console/data/agents', async (context) => context.json(await viewAgents(site, await begin())))
  app.get('/console/data/upstreams', async (context) => context.json(await viewUpstreams(site)))
  app.get('/console/data/vault', async (context) => context.json(await viewVault(site)))
  addPolicyRoutes(app, site)
  addKeepingPageRoutes(app, site)
  app.get('/console/data/people', async (context) =>
    context.json(await viewPeople(site, requirePerson(context.get('visitor')).person)),
  )
  app.get('/console/data/log', async (context) => {
    const query = logQueryShape.safeParse(context.req.query())
    if (!query.success) throw new Refused(400, 'unreadable', 'The log cannot be searched by that.', 'Nothing was searched.')
    return context.json(await searchLog(site, query.data))
  })
  app.get('/console/data/log/:index', async (context) => {
    const entry = await viewEntry(site, readPlace(context.req.param('index')))
    if (entry === null) throw notFound()
    return context.json(entry)
  })
  app.get('/console/data/log/:index/proof', async (context) =>
    context.json(await site.ports.overview.record.prove(readPlace(context.req.param('index')))),
  )
}

function readPlace(text: string): number {
  const place = indexShape.safeParse(text)
  if (!place.success) throw notFound()
  return Number(place.data)
}
