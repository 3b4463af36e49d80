import { useQueryClient } from '@tanstack/react-query'
import { lazy, type ReactElement, type ReactNode, Suspense, useEffect, useState } from 'react'
import type { Killing } from './killing.ts'
import { Button } from './parts.tsx'
import { tell } from './said.tsx'
import { isForPage } from './typing.ts'

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
  look = 'stop',
  shortcut = '',
  className = '',
}: {
  readonly killing: Killing
  readonly children: ReactNode
  readonly label?: string
  readonly look?: 'stop' | 'kill'
  /** One key that asks the question from anywhere. */
  readonly shortcut?: string
  readonly className?: string
}): ReactElement {
  const [asked, setAsked] = useState<Killing | null>(null)
  const queries = useQueryClient()
  const { kind, id } = killing.scope
  const { name } = killing
  useEffect(() => {
    const hear = (event: KeyboardEvent): void => {
      if (event.key !== shortcut || !isForPage(event)) return
      event.preventDefault()
      setAsked({ scope: { kind, id }, name })
    }
    if (shortcut === '') return undefined
    window.addEventListener('keydown', hear)
    return () => window.removeEventListener('keydown', hear)
  }, [shortcut, kind, id, name])
  const close = (said: string | null): void => {
    setAsked(null)
    if (said === null) return
    tell(said)
    void queries.invalidateQueries()
  }
  return (
    <>
      <Button
        look={look}
        small={look === 'stop'}
        className={className}
        aria-label={label}
        aria-keyshortcuts={shortcut === '' ? undefined : shortcut}
        onClick={() => setAsked(killing)}
      >
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
