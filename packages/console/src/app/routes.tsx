import { createRootRoute, createRoute, createRouter, Link, redirect, type AnyRouter } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import { Frame } from './frame.tsx'
import { Empty, Page } from './parts.tsx'
import { Now } from './pages/now.tsx'

const root = createRootRoute({ component: Frame, notFoundComponent: Nowhere })
const index = createRoute({
  getParentRoute: () => root,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/now' })
  },
})
// The first page is in the first script; each of the others is fetched when somebody goes there.
const now = createRoute({ getParentRoute: () => root, path: '/now', component: Now })

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

const tree = root.addChildren([index, now])

export function makeConsoleRouter(): AnyRouter {
  return createRouter({ routeTree: tree, basepath: '/console', defaultPreload: 'intent', scrollRestoration: false })
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createRouter<typeof tree, 'never', false>>
  }
}
