import type { UseQueryResult } from '@tanstack/react-query'
import type { ReactElement } from 'react'
import { explain, Refusal } from './api.ts'
import { Button, Empty } from './parts.tsx'

/** A page's matter: while it is asked for, when it was refused, and when it is there. */
export function Awaiting<Data>({
  asked,
  children,
}: {
  readonly asked: UseQueryResult<Data>
  readonly children: (data: Data) => ReactElement
}): ReactElement {
  if (asked.data !== undefined) return children(asked.data)
  if (asked.error === null) return <p className="px-6 py-10 text-dim">Asking the gate…</p>
  if (asked.error instanceof Refusal && asked.error.status === 401)
    return (
      <Empty title="You are signed out">
        <a className="text-accent underline" href={`/sign-in?next=${encodeURIComponent(location.pathname)}`}>
          Sign in again
        </a>
      </Empty>
    )
  return (
    <Empty title="The gate did not answer this">
      <p role="alert">{explain(asked.error)}</p>
      <div className="mt-3">
        <Button onClick={() => void asked.refetch()}>Ask again</Button>
      </div>
    </Empty>
  )
}
