import { useNavigate } from '@tanstack/react-router'
import { type ReactElement, useState } from 'react'
import * as z from 'zod/mini'
import { formatAmount, formatCount, formatDuration } from '../time-words.ts'
import type { RequestsView, RoutineView } from '../shapes/requests.ts'
import { explain, post } from './api.ts'
import { offerChange } from './offered-change.ts'
import { Button, Card, ImpactBadge } from './parts.tsx'
import { Shown } from './text.tsx'
import { Ago, Until } from './time.tsx'

const askedShape = z.object({ go: z.string() })

/** Questions that are always the same. A prompt that is always answered yes protects nobody; what would make it one less is proposed, never done. */
export function Routines({ view }: { readonly view: RequestsView }): ReactElement | null {
  if (view.routines.length === 0) return null
  const offered = view.routines.filter(({ relief }) => relief.kind !== 'none')
  return (
    <Card flush title="Asked again and again" aside={offered.length === 0 ? null : formatAmount(offered.length, 'suggestion')}>
      <ul className="relative max-h-80 divide-y divide-line overflow-y-auto" tabIndex={0} aria-label="Asked again and again">
        {view.routines.map((routine) => (
          <li key={routine.key} className="px-4 py-2.5" data-relief={routine.relief.kind}>
            <p className="flex flex-wrap items-center gap-x-2">
              <ImpactBadge kind={routine.kind} />
              <span className="font-medium">
                <Shown text={routine.agent} most={60} />
              </span>
              <span className="text-small text-dim">
                asked {formatCount(routine.asked)} times, {formatCount(routine.approved)} approved, last{' '}
                <Ago atMs={routine.lastAtMs} />
              </span>
            </p>
            <p className="mt-0.5 text-small text-dim [overflow-wrap:anywhere]">
              <code>
                <Shown text={routine.actions.join(', ')} most={120} />
              </code>{' '}
              on <Shown text={`${routine.resources.join(', ')}, ${routine.upstream}`} most={200} />
            </p>
            <Relief routine={routine} />
          </li>
        ))}
      </ul>
    </Card>
  )
}

function Relief({ routine: { relief, agent } }: { readonly routine: RoutineView }): ReactElement {
  const navigate = useNavigate()
  if (relief.kind === 'ahead') return <Ahead relief={relief} />
  if (relief.kind === 'none') return <p className="mt-1 text-small text-dim">Stays a question: {relief.why}</p>
  const offer = (): void => {
    offerChange(
      relief.kind === 'rows' ? { kind: 'rows', rows: relief.rows } : { kind: 'add_scope', agent, lines: [...relief.lines] },
    )
    void navigate({ to: '/policy' })
  }
  return (
    <div className="mt-1.5 flex flex-wrap items-center gap-x-3 gap-y-1">
      <p className="min-w-0 text-small">
        <span aria-hidden="true" className="text-warn">
          ◆{' '}
        </span>
        {relief.kind === 'rows' ? (
          <>Undo instead of a prompt, up to {formatCount(relief.rows)} rows that can be put back?</>
        ) : (
          <>
            Write it into its scope: <code>{relief.lines.join(', ')}</code>?
          </>
        )}
      </p>
      <Button small onClick={offer}>
        See what that changes
      </Button>
    </div>
  )
}

/** Asks people, on a page where each says yes with a passkey; nothing is given by asking. */
function Ahead({ relief }: { readonly relief: Extract<RoutineView['relief'], { kind: 'ahead' }> }): ReactElement {
  const [problem, setProblem] = useState('')
  const { request, uses, forMs } = relief
  const askPeople = (): void => {
    post(`/requests/${request}/ahead`, { uses, forMs }, askedShape).then(
      ({ go }) => window.location.assign(go),
      (error: unknown) => setProblem(explain(error)),
    )
  }
  return (
    <div className="mt-1.5 flex flex-wrap items-center gap-x-3 gap-y-1">
      <p className="min-w-0 text-small">
        <span aria-hidden="true" className="text-warn">
          ◆{' '}
        </span>
        Answer exactly this ahead, up to {formatAmount(uses, 'time')} within {formatDuration(forMs)}?
      </p>
      <Button small onClick={askPeople}>
        Ask people
      </Button>
      <p role="status" className="text-small text-bad">
        {problem}
      </p>
    </div>
  )
}

/** Scope that people gave for a time, and glass that was broken: both wait for somebody, or end by themselves. */
export function Standing({ view }: { readonly view: RequestsView }): ReactElement | null {
  if (view.standing.length === 0 && view.reviews.length === 0) return null
  return (
    <Card flush title="Stands, and waits to be looked at" aside={formatAmount(view.standing.length, 'grant')}>
      <ul className="divide-y divide-line">
        {view.reviews.map((review) => (
          <li key={review.request} className="px-4 py-2">
            <p>
              <span className="font-medium text-bad">⚠ Glass was broken</span> by <Shown text={review.person} most={80} /> for{' '}
              <Shown text={review.agent} most={60} />, <Ago atMs={review.atMs} />
            </p>
            <a className="text-small text-accent underline" href={`/requests/${review.request}`}>
              Look at it
            </a>
          </li>
        ))}
        {view.standing.map((grant) => (
          <li key={grant.request} className="px-4 py-2">
            <p className="flex flex-wrap items-baseline gap-x-2">
              <span className="font-medium">
                <Shown text={grant.agent} most={60} />
              </span>
              <code>
                <Shown text={grant.lines.join(', ')} most={200} />
              </code>
              <span className="ml-auto text-small text-dim">
                for another <Until atMs={grant.untilMs} />
              </span>
            </p>
            <p className="text-small text-dim">
              given by <Shown text={grant.approvers.join(', ')} most={160} />: “<Shown text={grant.reason} most={200} />”{' '}
              <a className="rounded underline decoration-edge underline-offset-2" href={`/requests/${grant.request}`}>
                end it
              </a>
            </p>
          </li>
        ))}
      </ul>
    </Card>
  )
}
