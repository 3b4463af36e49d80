import { lazy, type ReactElement, Suspense, useEffect, useState, useSyncExternalStore } from 'react'
import { useQueryClient } from '@tanstack/react-query'
import { formatAmount } from '../../time-words.ts'
import { type Counts, countedKinds, type NowView, nowShape, type ShownKill, type ShownLine } from '../../shapes/now.ts'
import { explain } from '../api.ts'
import { useAsked } from '../asking.ts'
import { Awaiting } from '../awaiting.tsx'
import { Stream } from '../frame.tsx'
import { KillButton } from '../kill.tsx'
import { currentLive, seedLive, subscribeLive } from '../live.ts'
import { Button, Card, Empty, Notice, Page, signOf } from '../parts.tsx'
import { explainPasskey, signWithPasskey } from '../passkey.ts'
import { RequestRow } from '../request-row.tsx'
import { tell } from '../said.tsx'
import { Shown } from '../text.tsx'
import { Ago, Clock } from '../time.tsx'

const ImpactPlot = lazy(() => import('../impact-plot.tsx'))

/** What agents are doing to production, at a glance, and the switches that stop it. */
export default function Now(): ReactElement {
  const asked = useAsked('now', nowShape)
  return <Awaiting asked={asked}>{(view) => <Glance view={view} />}</Awaiting>
}

function Glance({ view }: { readonly view: NowView }): ReactElement {
  useEffect(() => seedLive(view.lines), [view.lines])
  return (
    <Page
      title="Now"
      about={
        <>
          Isolation level {view.isolationLevel} ·{' '}
          {view.mode === 'team' ? 'team mode: nobody approves their own agent’s request' : 'solo mode: four-eyes is off'}
        </>
      }
      actions={
        <KillButton big killing={{ scope: { kind: 'all', id: '*' }, name: 'every agent' }}>
          <span aria-hidden="true">■</span> Stop everything
        </KillButton>
      }
    >
      {view.warnings.map((warning) => (
        <Notice key={warning} tone="warn">
          {warning}
        </Notice>
      ))}
      {view.kills.map((kill) => (
        <KillBanner key={kill.id} kill={kill} />
      ))}
      <Figures view={view} />
      <div className="mt-4 grid gap-4 xl:grid-cols-[minmax(0,1fr)_24rem]">
        <div className="grid min-w-0 content-start gap-4">
          <Waiting view={view} />
          <Card title="Operations, the last hour" aside="a minute each">
            <Suspense fallback={<div className="h-44" />}>
              <ImpactPlot minutes={view.minutes} />
            </Suspense>
          </Card>
          <Feed />
        </div>
        <div className="grid min-w-0 content-start gap-4">
          <Sessions view={view} />
          <Agents view={view} />
        </div>
      </div>
    </Page>
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
    <dl
      aria-label="Operations of the last hour"
      className="grid grid-cols-2 gap-px overflow-hidden rounded-lg border border-line bg-line sm:grid-cols-4 xl:grid-cols-7"
    >
      {countedKinds.map((kind) => {
        const count = hour(kind)
        const loud = count > 0 && (kind === 'destroy' || kind === 'unknown')
        return (
          <div key={kind} className="bg-card px-4 py-3 last:col-span-2 sm:last:col-span-1">
            <dt className="text-small text-dim">
              <span aria-hidden="true">{signOf(kind)} </span>
              {figureNames[kind]}
            </dt>
            <dd data-count={kind} className={`text-figure font-semibold tracking-tight tabular-nums ${loud ? 'text-bad' : ''}`}>
              {count.toLocaleString('en-US')}
            </dd>
          </div>
        )
      })}
    </dl>
  )
}

function Waiting({ view }: { readonly view: NowView }): ReactElement {
  const count = view.waiting.length
  return (
    <Card flush title="Waits for people" aside={count === 0 ? null : formatAmount(count, 'request')}>
      {count === 0 ? (
        <Empty title="Nothing waits">When an agent asks for something that needs a person, it appears here.</Empty>
      ) : (
        <ul className="divide-y divide-line">
          {view.waiting.map((request) => (
            <RequestRow key={request.id} request={request} />
          ))}
        </ul>
      )}
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
        <ul className="max-h-96 divide-y divide-line overflow-y-auto" tabIndex={0} aria-label="Sessions">
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
                    className="rounded underline decoration-line underline-offset-2"
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

function Agents({ view }: { readonly view: NowView }): ReactElement {
  return (
    <Card flush title="Kill switch by agent">
      {view.agents.length === 0 ? (
        <Empty title="No agent is configured">
          Name one under <code>agents:</code> in sallyport.yaml.
        </Empty>
      ) : (
        <ul className="max-h-96 divide-y divide-line overflow-y-auto" tabIndex={0} aria-label="Agents">
          {view.agents.map(({ name, owner }) => (
            <li key={name} className="flex items-center justify-between gap-3 px-4 py-1.5">
              <span className="min-w-0">
                <span className="font-medium">
                  <Shown text={name} most={60} />
                </span>{' '}
                <span className="text-small text-dim">
                  for <Shown text={owner} most={60} />
                </span>
              </span>
              <KillButton label={`Kill agent ${name}`} killing={{ scope: { kind: 'agent', id: name }, name: `agent ${name}` }}>
                Kill
              </KillButton>
            </li>
          ))}
        </ul>
      )}
    </Card>
  )
}

/** Lines in the document at once: a glance. The log has all of them. */
const linesShown = 60

function Feed(): ReactElement {
  const lines = useSyncExternalStore(subscribeLive, () => currentLive().lines)
  const skipped = useSyncExternalStore(subscribeLive, () => currentLive().skipped)
  return (
    <Card flush title="As it happens" aside={<Stream />}>
      {lines.length === 0 ? (
        <Empty title="Nothing has happened yet">What agents do appears here as it goes on the log.</Empty>
      ) : (
        <ol
          aria-label="Events, newest first"
          tabIndex={0}
          data-feed
          className="max-h-[34rem] divide-y divide-line overflow-y-auto text-small"
        >
          {lines.slice(0, linesShown).map((line) => (
            <FeedLine key={line.index} line={line} />
          ))}
        </ol>
      )}
      {skipped === 0 ? null : (
        <p className="border-t border-line px-4 py-2 text-small text-dim" data-skipped={skipped}>
          {formatAmount(skipped, 'event')} went by too fast to show; they are counted above, and on the log.
        </p>
      )}
    </Card>
  )
}

const lineTones = { calm: '', warn: 'text-warn', danger: 'text-bad' } as const

function FeedLine({ line }: { readonly line: ShownLine }): ReactElement {
  return (
    <li className="grid grid-cols-[4.2rem_1fr] gap-x-3 px-4 py-1.5 sm:grid-cols-[4.2rem_9.5rem_1fr]">
      <span className="text-dim">
        <Clock atMs={line.atMs} />
      </span>
      <span className={`font-medium ${lineTones[line.tone]}`}>{line.what}</span>
      <span className="col-span-2 min-w-0 text-dim [overflow-wrap:anywhere] sm:col-span-1">{line.detail}</span>
    </li>
  )
}
