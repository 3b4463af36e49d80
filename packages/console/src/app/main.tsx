import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { createRoot } from 'react-dom/client'
import * as z from 'zod/mini'
import { startLive } from './live.ts'
import { consoleRouter } from './routes.tsx'
import './style.css'
import { applyTheme } from './theme.ts'

// The page may not compile code at run time, which is how zod reads fast elsewhere.
z.config({ jitless: true })
applyTheme()

const queries = new QueryClient({
  // The gate is on this machine or near it: what it does not answer now, it will not answer in a second. The stream says when to ask again.
  defaultOptions: { queries: { retry: false, staleTime: 2_000, networkMode: 'always' }, mutations: { networkMode: 'always' } },
})
const place = document.querySelector('#app')
if (place === null) throw new Error('this document has no place for the console')
createRoot(place).render(
  <QueryClientProvider client={queries}>
    <RouterProvider router={consoleRouter()} />
  </QueryClientProvider>,
)
startLive()
