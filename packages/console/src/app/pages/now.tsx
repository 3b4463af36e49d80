import { Link } from '@tanstack/react-router'
import { useQueryClient } from '@tanstack/react-query'
import { lazy, type ReactElement, Suspense, useEffect, useState, useSyncExternalStore } from 'react'
import { formatAmount, formatCount } from '../../time-words.ts'
import { type Counts, countedKinds, type NowView, nowShape, type ShownKill, type ShownLine } from '../../shapes/now.ts'
import { explain } from '../api.ts'
import { useAsked } from '../asking.ts'
import { AtWork } from '../at-work.tsx'
import { Awaiting } from '../awaiting.tsx'
import { Feed, Lines } from '../feed.tsx'
import { KillButton } from '../kill.tsx'
import { currentLive, seedLive, subscribeLive } from '../live.ts'
import { Button, Card, Empty, Notice, Page, signOf } from '../parts.tsx'
import { explainPasskey, signWithPasskey } from '../passkey.ts'
import { RequestRow } from '../request-row.tsx'
import { tell } from '../said.tsx'
import { Shown } from '../text.tsx'
import { Ago } from '../time.tsx'

const ImpactPlot = lazy(() => import('../impact-plot.tsx'))

/** What agents are doing to production, at a glance, and the switches that stop it. */
export default function Now(): ReactElement {
  const asked = useAsked('now', nowShape)
  return <Awaiting asked={asked}>{(view) => <Glance view={view} />}</Awaiting>
}

function Glance({ view }: { readonly view: NowView }): ReactElement {
  useEffect(() => seedLive(view.lines), [view.lines])
  return (
    <Page title="Now" about={<Summary view={view} />}>
      {view.kills.map((kill) => (
        <KillBanner key={kill.id} kill={kill} />
      ))}
      <Warnings warnings={view.warnings} />
      <Figures view={view} />
      <div className="mt-4 grid items-start gap-4 xl:grid-cols-[minmax(0,3fr)_minmax(0,2fr)] 3xl:grid-cols-3">
        <div className="grid min-w-0 gap-4 3xl:contents">
          <Waiting view={view} />
          <div className="grid min-w-0 content-start gap-4">
            <AtWork view={view} />
            <Sessions view={view} />
          </div>
        </div>
        <div className="grid min-w-0 gap-4">
          <Refused lines={view.refused} />
          <Card title="Operations, the last hour" aside="a bar each minute">
            <Suspense fallback={<div className="h-40" />}>
              <ImpactPlot minutes={view.minutes} />
            </Suspense>
          </Card>
          <Feed />
        </div>
      </div>
    </Page>
  )
}

/** What one has to know first, in a sentence. */
function Summary({ view }: { readonly view: NowView }): ReactElement {
  const pending = view.waiting.filter(({ state }) => state === 'pending')
  const destroying = pending.filter(({ kind }) => kind === 'destroy' || kind === 'unknown').length
  return (
    <>
      <span className={pending.length === 0 ? '' : 'font-medium text-warn'}>
        {pending.length === 0
          ? 'Nothing waits for people.'
          : `${formatAmount(pending.length, 'request')} ${pending.length === 1 ? 'waits' : 'wait'} for people${destroying === 0 ? '' : `, ${formatCount(destroying)} of them would destroy`}.`}
      </span>{' '}
      {view.sessionsInAll === 0 ? 'No agent is connected.' : `${formatAmount(view.sessionsInAll, 'session')} open.`} Isolation
      level {view.isolationLevel},{' '}
      {view.mode === 'team' ? 'team mode: nobody approves their own agent’s request.' : 'solo mode: four-eyes is off.'}
    </>
  )
}

function Warnings({ warnings }: { readonly warnings: readonly string[] }): ReactElement | null {
  if (warnings.length === 0) return null
  return (
    <Notice tone="warn">
      {warnings.map((warning) => (
        <p key={warning}>{warning}</p>
      ))}
    </Notice>
  )
}

function KillBanner({ kill }: { readonly kill: ShownKill }): ReactElement {
  const [busy, setBusy] = useState(false)
  const queries = useQueryClient()
  const release = async (): Promise<void> => {
    setBusy(true)
    try {
      tell(await signWithPasskey(`/kills/${kill.id}/challenge`, `/kills/${kill.id}/release`))
      await queries.invalidateQueries()
    } catch (error) {
      tell(explainPasskey(error) ?? explain(error))
    } finally {
      setBusy(false)
    }
  }
  return (
    <section
      aria-label="Stopped"
      className="mb-4 flex flex-wrap items-center justify-between gap-3 rounded-lg border border-bad/40 bg-bad-soft px-4 py-3"
    >
      <div className="min-w-0">
        <p className="font-semibold text-bad">
          <span aria-hidden="true">■ </span>
          <Shown text={kill.sentence} />
        </p>
        <p className="text-small">
          By <Shown text={kill.by} most={80} />, <Ago atMs={kill.atMs} />
          {kill.reason === '' ? null : (
            <>
              : “<Shown text={kill.reason} />”
            </>
          )}
        </p>
      </div>
      <Button disabled={busy} onClick={() => void release()}>
        Release with passkey
      </Button>
    </section>
  )
}

const figureNames: Readonly<Record<keyof Counts, string>> = {
  read: 'Reads',
  write: 'Writes',
  disrupt: 'Disrupting',
  escalate: 'Escalating',
  destroy: 'Destroying',
  unknown: 'Unreadable',
  refused: 'Refused',
}

/** Counts of the last hour; what runs right now is in the plot's last minute. */
function Figures({ view }: { readonly view: NowView }): ReactElement {
  const live = useSyncExternalStore(subscribeLive, () => currentLive().totals)
  const totals = live ?? view.totals
  const hour = (kind: keyof Counts): number =>
    view.minutes.reduce((sum, { counts }) => sum + counts[kind], 0) + Math.max(0, totals[kind] - view.totals[kind])
  return (
    <section aria-label="Operations of the last hour" className="rounded-lg border border-line bg-card px-4 pt-2.5 pb-3">
      <h2 className="text-small text-dim">Operations, the last hour</h2>
      <dl className="mt-1 grid grid-cols-[repeat(auto-fit,minmax(5.5rem,1fr))] gap-x-2 gap-y-2 sm:gap-x-4">
        {countedKinds.map((kind) => {
          const count = hour(kind)
          const look = count === 0 ? 'text-dim' : kind === 'destroy' || kind === 'unknown' ? 'text-bad' : ''
          return (
            <div key={kind} className="flex flex-col-reverse">
              <dt className="text-tiny whitespace-nowrap text-dim sm:text-small">
                <span aria-hidden="true">{signOf(kind)} </span>
                {figureNames[kind]}
              </dt>
              <dd data-count={kind} className={`text-title font-semibold tracking-tight sm:text-figure tabular-nums ${look}`}>
                {formatCount(count)}
              </dd>
            </div>
          )
        })}
      </dl>
    </section>
  )
}

/** A glance; the inbox has all of them. */
const waitingShown = 6

function Waiting({ view }: { readonly view: NowView }): ReactElement {
  const count = view.waitingInAll
  return (
    <Card flush title="What waits" aside={count === 0 ? null : formatAmount(count, 'request')}>
      {count === 0 ? (
        <Empty title="Nothing waits">When an agent asks for something that needs a person, it appears here.</Empty>
      ) : (
        <ul className="divide-y divide-line">
          {view.waiting.slice(0, waitingShown).map((request) => (
            <RequestRow key={request.id} request={request} />
          ))}
        </ul>
      )}
      {count <= waitingShown ? null : (
        <Link
          to="/requests"
          className="block border-t border-line px-4 py-2.5 text-small font-medium text-accent -outline-offset-2 hover:bg-soft"
        >
          All {formatCount(count)} in the inbox
        </Link>
      )}
    </Card>
  )
}

/** What the gate said no to, and what it rang about. */
function Refused({ lines }: { readonly lines: readonly ShownLine[] }): ReactElement | null {
  if (lines.length === 0) return null
  return (
    <Card flush title="Refused, and alarms" aside="newest first">
      <Lines lines={lines} label="Refused, and alarms" height="max-h-52" />
    </Card>
  )
}

function Sessions({ view }: { readonly view: NowView }): ReactElement {
  return (
    <Card flush title="Sessions" aside={view.sessionsInAll === 0 ? null : formatAmount(view.sessionsInAll, 'session')}>
      {view.sessions.length === 0 ? (
        <Empty title="No agent is connected">
          Give one a handle with <code>sallyport handle issue AGENT</code>; it appears here when it connects.
        </Empty>
      ) : (
        <ul className="relative max-h-96 divide-y divide-line overflow-y-auto" tabIndex={0} aria-label="Sessions">
          {view.sessions.map((session) => (
            <li key={session.id} className="flex items-center justify-between gap-3 px-4 py-2">
              <div className="min-w-0">
                <p className="font-medium">
                  <Shown text={session.agent} most={60} /> <span className="font-normal text-dim">on</span>{' '}
                  <Shown text={session.upstream} most={60} />
                </p>
                <p className="text-small text-dim">
                  for <Shown text={session.owner} most={60} /> · {session.protocol} from <Shown text={session.peer} most={60} /> ·{' '}
                  <Ago atMs={session.openedAtMs} /> ·{' '}
                  <a
                    className="rounded underline decoration-edge underline-offset-2"
                    href={`/sessions/${encodeURIComponent(session.id)}`}
                  >
                    story
                  </a>
                </p>
              </div>
              <KillButton
                label={`Kill session ${session.id}`}
                killing={{ scope: { kind: 'session', id: session.id }, name: `this session of ${session.agent}` }}
              >
                Kill
              </KillButton>
            </li>
          ))}
        </ul>
      )}
    </Card>
  )
}
