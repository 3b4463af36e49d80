import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Link, Navigate } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import { Frame } from './frame.tsx'
import { readLogSearch } from './log-search.ts'
import { Empty, Page } from './parts.tsx'

const root = createRootRoute({ component: Frame, notFoundComponent: Nowhere })
const at = <Path extends string>(path: Path) => ({ getParentRoute: () => root, path }) as const

const requestsPage = lazyRouteComponent(() => import('./pages/requests.tsx'))
const logPage = lazyRouteComponent(() => import('./pages/log.tsx'))
// The first script paints what is around the pages; each page is fetched when somebody goes there.
const tree = root.addChildren([
  createRoute({ ...at('/'), component: () => <Navigate to="/now" /> }),
  createRoute({ ...at('/now'), component: lazyRouteComponent(() => import('./pages/now.tsx')) }),
  createRoute({ ...at('/requests'), component: requestsPage }),
  createRoute({ ...at('/requests/$id'), component: requestsPage }),
  createRoute({ ...at('/agents'), component: lazyRouteComponent(() => import('./pages/agents.tsx')) }),
  createRoute({ ...at('/upstreams'), component: lazyRouteComponent(() => import('./pages/upstreams.tsx')) }),
  createRoute({ ...at('/vault'), component: lazyRouteComponent(() => import('./pages/vault.tsx')) }),
  createRoute({ ...at('/log'), component: logPage, validateSearch: readLogSearch }),
  createRoute({ ...at('/log/$index'), component: logPage, validateSearch: readLogSearch }),
  createRoute({ ...at('/policy'), component: lazyRouteComponent(() => import('./pages/policy.tsx')) }),
  createRoute({ ...at('/people'), component: lazyRouteComponent(() => import('./pages/people.tsx')) }),
])

function Nowhere(): ReactElement {
  return (
    <Page title="Nothing is here">
      <Empty title="This address leads to no page">
        <Link to="/now" className="text-accent underline">
          See what happens now
        </Link>
      </Empty>
    </Page>
  )
}

const router = createRouter({ routeTree: tree, basepath: '/console', defaultPreload: 'intent' })

export function consoleRouter(): typeof router {
  return router
}

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
