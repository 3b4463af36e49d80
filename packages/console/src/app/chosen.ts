import { useRouterState } from '@tanstack/react-router'

/** What comes after a page's own address: which one of its things is chosen. */
export function useChosen(page: string): string | undefined {
  const path = useRouterState({ select: ({ location }) => location.pathname })
  return path.split(`${page}/`)[1]
}
