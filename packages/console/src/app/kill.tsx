import { useQueryClient } from '@tanstack/react-query'
import { lazy, type ReactElement, type ReactNode, Suspense, useState } from 'react'
import { Button } from './parts.tsx'
import { tell } from './said.tsx'

/** What is about to be stopped. */
export interface Killing {
  readonly scope: { readonly kind: 'session' | 'agent' | 'owner' | 'upstream' | 'all'; readonly id: string }
  readonly name: string
}

const loadConfirm = (): Promise<typeof import('./confirm.tsx')> => import('./confirm.tsx')
const ConfirmKill = lazy(loadConfirm)

/** The switch must not wait for a file when it is needed: the dialog is fetched as soon as the page stands. */
export function fetchConfirm(): void {
  void loadConfirm()
}

/** Stops an agent, a session or everything, after one more question. It needs no passkey; a release does. */
export function KillButton({
  killing,
  children,
  label,
  big = false,
}: {
  readonly killing: Killing
  readonly children: ReactNode
  readonly label?: string
  readonly big?: boolean
}): ReactElement {
  const [asked, setAsked] = useState<Killing | null>(null)
  const queries = useQueryClient()
  const close = (said: string | null): void => {
    setAsked(null)
    if (said === null) return
    tell(said)
    void queries.invalidateQueries()
  }
  return (
    <>
      <Button look={big ? 'kill' : 'stop'} small={!big} aria-label={label} onClick={() => setAsked(killing)}>
        {children}
      </Button>
      {asked === null ? null : (
        <Suspense fallback={null}>
          <ConfirmKill killing={asked} onClose={close} />
        </Suspense>
      )}
    </>
  )
}
