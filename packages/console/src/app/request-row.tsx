import type { ReactElement } from 'react'
import type { ShownRequest } from '../shapes/now.ts'
import { formatAmount } from '../time-words.ts'
import { Badge, ImpactBadge, type Tone } from './parts.tsx'
import { Shown } from './text.tsx'
import { Ago, Until } from './time.tsx'

const states: Readonly<Record<ShownRequest['state'], { readonly sign: string; readonly word: string; readonly tone: Tone }>> = {
  pending: { sign: '◷', word: 'waits', tone: 'warn' },
  cooling: { sign: '◷', word: 'cooling off', tone: 'warn' },
  approved: { sign: '✓', word: 'approved', tone: 'good' },
  rejected: { sign: '✕', word: 'rejected', tone: 'danger' },
  expired: { sign: '–', word: 'expired', tone: 'calm' },
  cancelled: { sign: '–', word: 'cancelled', tone: 'calm' },
}

export function StateBadge({ state }: { readonly state: ShownRequest['state'] }): ReactElement {
  const { sign, word, tone } = states[state]
  return (
    <Badge sign={sign} tone={tone}>
      {word}
    </Badge>
  )
}

/** One request of a list. It leads to the page where the verdict is given, which is rendered by the gate itself. */
export function RequestRow({ request }: { readonly request: ShownRequest }): ReactElement {
  return (
    <li className="relative grid gap-0.5 px-4 py-2.5 hover:bg-soft has-focus-visible:bg-soft">
      <div className="flex flex-wrap items-baseline gap-x-2 gap-y-0.5">
        <ImpactBadge kind={request.kind} />
        <a
          href={`/requests/${request.id}`}
          className="min-w-0 flex-1 font-medium first-letter:uppercase after:absolute after:inset-0 max-sm:order-last max-sm:basis-full"
        >
          <Shown text={request.headline} />
        </a>
        <span className="ml-auto flex items-center gap-2 text-small text-dim">
          {request.state === 'pending' ? null : <StateBadge state={request.state} />}
          <When request={request} />
        </span>
      </div>
      <p className="truncate font-mono text-small text-dim">
        <Shown text={request.glance} />
      </p>
      <p className="text-small text-dim">
        <Shown text={request.agent} most={60} /> for <Shown text={request.owner} most={60} /> on{' '}
        <Shown text={request.upstream} most={60} /> ({request.environment}) · {request.approvals} of{' '}
        {formatAmount(request.approvalsNeeded, 'approval')}
      </p>
    </li>
  )
}

export function When({ request }: { readonly request: ShownRequest }): ReactElement {
  if (request.state === 'pending')
    return (
      <span>
        <span aria-hidden="true">◷ </span>expires in <Until atMs={request.expiresAtMs} />
      </span>
    )
  if (request.state === 'cooling' && request.notBeforeMs !== null)
    return (
      <span>
        may run in <Until atMs={request.notBeforeMs} />
      </span>
    )
  return <Ago atMs={request.createdAtMs} />
}
