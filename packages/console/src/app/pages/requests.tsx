import { Link, useNavigate } from '@tanstack/react-router'
import { lazy, type ReactElement, Suspense, useEffect, useState } from 'react'
import { formatAmount, formatBytes, formatDuration } from '../../time-words.ts'
import type { ShownRequest } from '../../shapes/now.ts'
import { type RequestDetail, requestDetailShape, type RequestsView, requestsShape } from '../../shapes/pages.ts'
import { useAsked } from '../asking.ts'
import { Awaiting } from '../awaiting.tsx'
import { useChosen } from '../chosen.ts'
import { Badge, Card, Empty, Facts, ImpactBadge, Key, Page } from '../parts.tsx'
import { StateBadge, When } from '../request-row.tsx'
import { Rows } from '../rows.tsx'
import { Fence, Shown } from '../text.tsx'
import { Ago } from '../time.tsx'

const BarPlot = lazy(() => import('../bar-plot.tsx'))

/** The inbox: a list, and beside it what is asked, who asks, and what protects. */
export default function Requests(): ReactElement {
  const asked = useAsked('requests', requestsShape)
  return <Awaiting asked={asked}>{(view) => <Inbox view={view} />}</Awaiting>
}

function Inbox({ view }: { readonly view: RequestsView }): ReactElement {
  const id = useChosen('/requests')
  const [shown, setShown] = useState<'all' | 'open'>('all')
  const open = view.requests.filter(({ state }) => state === 'pending' || state === 'cooling')
  const rows = shown === 'open' ? open : view.requests
  const chosen = id ?? rows[0]?.id
  useStepping(rows, chosen)
  if (view.requests.length === 0)
    return (
      <Page title="Requests">
        <Card title="Inbox">
          <Empty title="No agent has asked for anything">
            What destroys, escalates or cannot be read waits here for people. Until then agents work within their scope.
          </Empty>
        </Card>
      </Page>
    )
  return (
    <Page
      title="Requests"
      about={
        <>
          {open.length === 0 ? 'Nothing waits for people.' : `${formatAmount(open.length, 'request')} for people to decide.`}{' '}
          <Key>j</Key> <Key>k</Key> to move, <Key>Enter</Key> to open the page where the verdict is given.
        </>
      }
      actions={
        <label className="flex items-center gap-2 text-small">
          Show
          <select
            value={shown}
            onChange={(event) => setShown(event.target.value === 'open' ? 'open' : 'all')}
            className="h-8 rounded-md border border-line bg-card px-2"
          >
            <option value="all">all</option>
            <option value="open">what waits</option>
          </select>
        </label>
      }
    >
      <div className="grid gap-4 lg:grid-cols-[minmax(18rem,26rem)_minmax(0,1fr)] lg:grid-rows-[auto_1fr]">
        <div className="min-w-0">
          <Card flush title="Inbox" aside={formatAmount(view.inAll, 'request')}>
            {rows.length === 0 ? (
              <Empty title="Nothing waits">Choose “all” to see what was decided.</Empty>
            ) : (
              <Rows rows={rows} label="Requests" height="max-h-[26rem]" rowHeight={84} keyOf={(request) => request.id}>
                {(request) => <InboxRow request={request} chosen={request.id === chosen} />}
              </Rows>
            )}
          </Card>
        </div>
        {chosen === undefined ? null : <Detail key={chosen} id={chosen} />}
        <div className="min-w-0">
          <Habits view={view} />
        </div>
      </div>
    </Page>
  )
}

/** `j` and `k` step through the list, Enter opens the approval page. */
function useStepping(rows: readonly ShownRequest[], chosen: string | undefined): void {
  const navigate = useNavigate()
  useEffect(() => {
    const hear = (event: KeyboardEvent): void => {
      if (event.metaKey || event.ctrlKey || event.altKey) return
      const target = event.target instanceof HTMLElement ? event.target.tagName : ''
      if (/^(INPUT|TEXTAREA|SELECT)$/.test(target)) return
      if (event.key === 'Enter' && chosen !== undefined && !/^(A|BUTTON)$/.test(target)) location.assign(`/requests/${chosen}`)
      const step = event.key === 'j' ? 1 : event.key === 'k' ? -1 : 0
      if (step === 0) return
      const next = rows[Math.max(0, Math.min(rows.length - 1, rows.findIndex(({ id }) => id === chosen) + step))]
      if (next !== undefined) void navigate({ to: '/requests/$id', params: { id: next.id } })
    }
    window.addEventListener('keydown', hear)
    return () => window.removeEventListener('keydown', hear)
  }, [rows, chosen, navigate])
}

function InboxRow({ request, chosen }: { readonly request: ShownRequest; readonly chosen: boolean }): ReactElement {
  return (
    <Link
      to="/requests/$id"
      params={{ id: request.id }}
      aria-current={chosen ? 'true' : undefined}
      className="block px-4 py-2 -outline-offset-2 hover:bg-soft aria-[current=true]:bg-accent-soft"
    >
      <span className="flex flex-wrap items-center gap-x-2">
        <ImpactBadge kind={request.kind} />
        <StateBadge state={request.state} />
        <span className="ml-auto text-tiny text-dim">
          <Ago atMs={request.createdAtMs} />
        </span>
      </span>
      <span className="mt-0.5 block truncate font-medium">
        <Shown text={request.headline} />
      </span>
      <span className="block truncate text-small text-dim">
        <Shown text={request.agent} most={60} /> · <Shown text={request.upstream} most={60} />, {request.environment}
      </span>
    </Link>
  )
}

/** How people decide: an approval that is always given, and at once, protects nobody. */
function Habits({ view }: { readonly view: RequestsView }): ReactElement {
  const { verdicts, verdictsUnderThreeSeconds: quick, waitsMs, days } = view
  const waits = waitsMs.map(({ waitMs }) => waitMs).toSorted((left, right) => left - right)
  const median = waits[Math.floor(waits.length / 2)]
  const share = verdicts === 0 ? null : Math.round((quick / verdicts) * 100)
  const sum = (of: 'approved' | 'rejected' | 'unanswered'): number => days.reduce((all, day) => all + day[of], 0)
  return (
    <Card title="How people decide" aside="30 days">
      <Suspense fallback={<div className="h-[120px]" />}>
        <BarPlot
          times={days.map(({ startMs }) => startMs)}
          series={[
            { colour: 'good', values: days.map(({ approved }) => approved) },
            { colour: 'bad', values: days.map(({ rejected }) => rejected) },
            { colour: 'edge', values: days.map(({ unanswered }) => unanswered) },
          ]}
          words={`Verdicts a day: ${sum('approved')} approvals, ${sum('rejected')} rejections, ${sum('unanswered')} unanswered in 30 days`}
        />
      </Suspense>
      <dl className="mt-2 grid grid-cols-3 gap-2 text-small">
        <Figure name="✓ approved" value={String(sum('approved'))} />
        <Figure name="✕ rejected" value={String(sum('rejected'))} />
        <Figure name="– unanswered" value={String(sum('unanswered'))} />
        <Figure name="Half wait less than" value={median === undefined ? '–' : formatDuration(median)} />
        <Figure name="Decided under 3 s" value={share === null ? '–' : `${share} %`} />
        <Figure name="Verdicts in all" value={String(verdicts)} />
      </dl>
      {share !== null && share >= 50 && verdicts >= 5 ? (
        <p className="mt-2 text-small text-warn">
          <span aria-hidden="true">⚠ </span>Most are decided faster than they can be read. Ask less, by narrower scope or by
          copies that can be undone.
        </p>
      ) : null}
    </Card>
  )
}

function Figure({ name, value }: { readonly name: string; readonly value: string }): ReactElement {
  return (
    <div>
      <dt className="text-dim">{name}</dt>
      <dd className="text-lead font-semibold tabular-nums">{value}</dd>
    </div>
  )
}

function Detail({ id }: { readonly id: string }): ReactElement {
  const asked = useAsked(`requests/${id}`, requestDetailShape)
  return (
    <div className="min-w-0 lg:col-start-2 lg:row-span-2 lg:row-start-1">
      <Awaiting asked={asked}>{(detail) => <Question detail={detail} />}</Awaiting>
    </div>
  )
}

function Question({ detail }: { readonly detail: RequestDetail }): ReactElement {
  const { request } = detail
  const waits = request.state === 'pending'
  return (
    <div className="grid gap-4">
      <section aria-label="What is asked" className="rounded-lg border border-line bg-card p-4">
        <div className="flex flex-wrap items-center gap-2">
          <ImpactBadge kind={request.kind} />
          <Badge
            sign={request.environment === 'production' ? '●' : '○'}
            tone={request.environment === 'production' ? 'danger' : 'calm'}
          >
            {request.environment}
          </Badge>
          <StateBadge state={request.state} />
          <span className="text-small text-dim">
            <When request={request} />
          </span>
        </div>
        <h2 className="mt-2 text-title font-semibold tracking-tight first-letter:uppercase">
          <Shown text={request.headline} />
        </h2>
        {request.further.map((sentence) => (
          <p key={sentence} className="text-dim">
            <Shown text={sentence} />
          </p>
        ))}
        <div className="mt-3 flex flex-wrap items-center gap-3">
          <a
            href={`/requests/${request.id}`}
            className={`inline-flex h-8 items-center rounded-md px-3 font-medium ${waits ? 'bg-ink text-ground' : 'border border-line hover:bg-soft'}`}
          >
            {waits ? 'Give your verdict' : 'Open the approval page'}
          </a>
          <span className="text-small text-dim">
            {request.approvals} of {formatAmount(request.approvalsNeeded, 'approval')}
          </span>
        </div>
      </section>
      <Card title="The exact statement">
        <Fence label="What the agent sent" text={detail.text} />
        {detail.bindValues.length === 0 ? null : (
          <ol className="mt-3 grid gap-1 text-small" aria-label="Bound values">
            {detail.bindValues.map((value, index) => (
              <li key={index} className="font-mono">
                <span className="text-dim">${index + 1} </span>
                <Shown text={value} />
              </li>
            ))}
          </ol>
        )}
      </Card>
      <div className="grid items-start gap-4 2xl:grid-cols-2">
        <Card title="Who asks">
          <Facts
            facts={[
              ['Agent', <Shown key="agent" text={request.agent} />],
              ['For', <Shown key="owner" text={request.owner} />],
              ['Where', <Shown key="where" text={`${request.upstream}, by ${detail.protocol}`} />],
              ['Session', <Shown key="session" text={detail.session} />],
              ['Asked', <Ago key="asked" atMs={request.createdAtMs} />],
            ]}
          />
        </Card>
        <Card title="What protects you">
          <Facts
            facts={[
              [
                'Copy',
                <span key="copy" className={detail.isCopied ? '' : 'font-medium text-bad'}>
                  {detail.isCopied ? '' : '✕ '}
                  {detail.copySentence}
                </span>,
              ],
              [
                'Newest copy',
                detail.newestCopyAtMs === null ? 'none of all of this yet' : <Ago key="newest" atMs={detail.newestCopyAtMs} />,
              ],
              ['Limit', detail.limitSentence],
              ['Asked by', <Guards key="guards" guards={detail.guards} />],
            ]}
          />
        </Card>
      </div>
      <Operations detail={detail} />
      <Past detail={detail} />
    </div>
  )
}

function Guards({ guards }: { readonly guards: RequestDetail['guards'] }): ReactElement {
  return (
    <ul className="grid gap-1.5">
      {guards.map((guard) => (
        <li key={guard.id}>
          <Shown text={guard.why} most={1000} />{' '}
          <code className="text-dim">
            <Shown text={guard.id} />
          </code>
        </li>
      ))}
    </ul>
  )
}

function Operations({ detail }: { readonly detail: RequestDetail }): ReactElement {
  return (
    <Card title="What it will do" aside={formatAmount(detail.operations.length, 'operation')}>
      <ol className="grid gap-4">
        {detail.operations.map((operation, index) => (
          <li key={index}>
            <p className="flex flex-wrap items-center gap-2">
              <ImpactBadge kind={operation.kind} />
              <code className="[overflow-wrap:anywhere]">
                <Shown text={operation.action} />
              </code>
              {operation.reversible ? null : <span className="text-small font-medium text-bad">not reversible by itself</span>}
            </p>
            <p className="mt-1">
              <Shown text={operation.why} most={1000} />
            </p>
            <div className="mt-1.5 text-small">
              <Facts
                facts={[
                  ['On', <Names key="on" names={operation.resources} />],
                  ['Rows', operation.rows === null ? 'not counted' : operation.rows.toLocaleString('en-US')],
                  ['Size', operation.bytes === null ? 'not measured' : formatBytes(operation.bytes)],
                  ['Tables', <Names key="tables" names={operation.tables} />],
                  ['Depends on it', <Names key="dependants" names={operation.dependants} />],
                ]}
              />
            </div>
          </li>
        ))}
      </ol>
    </Card>
  )
}

function Names({ names }: { readonly names: readonly string[] }): ReactElement {
  if (names.length === 0) return <span className="text-dim">none</span>
  return (
    <span className="font-mono">
      {names.map((name, index) => (
        <span key={name}>
          {index === 0 ? '' : ', '}
          <Shown text={name} />
        </span>
      ))}
    </span>
  )
}

function Past({ detail }: { readonly detail: RequestDetail }): ReactElement {
  return (
    <div className="grid gap-4 xl:grid-cols-2">
      <Card title="Verdicts">
        {detail.approvals.length === 0 ? (
          <p className="text-dim">Nobody has answered. No answer is a no.</p>
        ) : (
          <ul className="grid gap-1.5">
            {detail.approvals.map((approval) => (
              <li key={approval.person}>
                {approval.verdict === 'approve' ? '✓' : '✕'} <Shown text={approval.person} most={80} />{' '}
                {approval.verdict === 'approve' ? 'approved' : 'rejected'} <Ago atMs={approval.atMs} />
                {approval.reason === '' ? null : (
                  <span className="text-dim">
                    : “<Shown text={approval.reason} most={1000} />”
                  </span>
                )}
              </li>
            ))}
          </ul>
        )}
      </Card>
      <Card title="Like it, before">
        {detail.similar.length === 0 ? (
          <p className="text-dim">This agent never asked for this on this upstream.</p>
        ) : (
          <ul className="grid gap-1.5">
            {detail.similar.map((other) => (
              <li key={other.id} className="flex items-center gap-2">
                <StateBadge state={other.state} />
                <Link
                  to="/requests/$id"
                  params={{ id: other.id }}
                  className="min-w-0 truncate underline decoration-line underline-offset-2"
                >
                  <Shown text={other.headline} />
                </Link>
                <span className="ml-auto text-small text-dim">
                  <Ago atMs={other.createdAtMs} />
                </span>
              </li>
            ))}
          </ul>
        )}
      </Card>
    </div>
  )
}
