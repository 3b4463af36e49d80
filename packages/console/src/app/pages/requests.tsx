import { Link, useNavigate } from '@tanstack/react-router'
import { type ReactElement, useEffect, useState } from 'react'
import { formatAmount, formatCount } from '../../time-words.ts'
import { type InboxRequest, type RequestsView, requestsShape } from '../../shapes/requests.ts'
import { useAsked } from '../asking.ts'
import { Awaiting } from '../awaiting.tsx'
import { useChosen } from '../chosen.ts'
import { Habits } from '../habits.tsx'
import { type Grouped, groupRequests } from '../inbox.ts'
import { Badge, Card, Empty, ImpactBadge, Key, Page } from '../parts.tsx'
import { Detail } from '../request-detail.tsx'
import { StateBadge } from '../request-row.tsx'
import { Routines, Standing } from '../routines.tsx'
import { Rows } from '../rows.tsx'
import { Shown } from '../text.tsx'
import { Ago, Until } from '../time.tsx'
import { isForPage } from '../typing.ts'

/** The inbox: a list, and beside it what is asked, who asks, and what protects. */
export default function Requests(): ReactElement {
  const asked = useAsked('requests', requestsShape)
  return <Awaiting asked={asked}>{(view) => <Inbox view={view} />}</Awaiting>
}

function Inbox({ view }: { readonly view: RequestsView }): ReactElement {
  const id = useChosen('/requests')
  const [shown, setShown] = useState<Choosable>('all')
  const [unfolded, setUnfolded] = useState<ReadonlySet<string>>(new Set())
  const open = view.requests.filter(({ state }) => state === 'pending' || state === 'cooling')
  const rows = groupRequests(shown === 'open' ? open : view.requests, unfolded)
  const chosen = id ?? rows[0]?.request.id
  useStepping(rows, chosen)
  const unfold = (group: string): void =>
    setUnfolded((before) => new Set(before.has(group) ? [...before].filter((one) => one !== group) : [...before, group]))
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
          {sayOpen(open)}{' '}
          <span className="max-sm:hidden">
            <Key>j</Key> <Key>k</Key> to move, <Key>Enter</Key> to open the page where the verdict is given.
          </span>
        </>
      }
      actions={<Choice shown={shown} onChoose={setShown} />}
    >
      <div className="grid gap-4 lg:grid-cols-[minmax(18rem,24rem)_minmax(0,1fr)] 3xl:grid-cols-[minmax(18rem,32rem)_minmax(0,1fr)] lg:grid-rows-[auto_1fr]">
        <div className="min-w-0">
          <Card flush title="Inbox" aside={formatAmount(view.inAll, 'request')}>
            {rows.length === 0 ? (
              <Empty title="Nothing waits">Choose “all” to see what was decided.</Empty>
            ) : (
              <Rows
                rows={rows}
                label="Requests"
                height="max-h-[26rem] lg:max-h-[34rem]"
                rowHeight={84}
                keyOf={({ request }) => request.id}
              >
                {(row) => <InboxRow row={row} chosen={row.request.id === chosen} onUnfold={unfold} />}
              </Rows>
            )}
          </Card>
        </div>
        {chosen === undefined ? null : <Detail key={chosen} id={chosen} />}
        <div className="grid min-w-0 content-start gap-4">
          <Standing view={view} />
          <Routines view={view} />
          <Habits view={view} />
        </div>
      </div>
    </Page>
  )
}

type Choosable = 'all' | 'open'

function Choice({ shown, onChoose }: { readonly shown: Choosable; readonly onChoose: (shown: Choosable) => void }): ReactElement {
  return (
    <label className="flex items-center gap-2 text-small">
      Show
      <select
        value={shown}
        onChange={(event) => onChoose(event.target.value === 'open' ? 'open' : 'all')}
        className="h-8 rounded-md border border-line bg-card px-2"
      >
        <option value="all">all</option>
        <option value="open">what waits</option>
      </select>
    </label>
  )
}

function sayOpen(open: readonly InboxRequest[]): string {
  const pending = open.filter(({ state }) => state === 'pending').length
  const cooling = open.length - pending
  const people = pending === 0 ? 'Nothing waits for people' : `${formatAmount(pending, 'request')} for people to decide`
  return cooling === 0
    ? `${people}.`
    : `${people}, and ${formatCount(cooling)} approved that ${cooling === 1 ? 'waits for its time' : 'wait for their time'}.`
}

/** `j` and `k` step through the list, Enter opens the approval page. */
function useStepping(rows: readonly Grouped[], chosen: string | undefined): void {
  const navigate = useNavigate()
  useEffect(() => {
    const hear = (event: KeyboardEvent): void => {
      if (!isForPage(event)) return
      const target = event.target instanceof HTMLElement ? event.target.tagName : ''
      if (event.key === 'Enter' && chosen !== undefined && !/^(A|BUTTON|SUMMARY)$/.test(target))
        location.assign(`/requests/${chosen}`)
      const step = event.key === 'j' ? 1 : event.key === 'k' ? -1 : 0
      if (step === 0) return
      const next = rows[Math.max(0, Math.min(rows.length - 1, rows.findIndex(({ request }) => request.id === chosen) + step))]
      if (next !== undefined) void navigate({ to: '/requests/$id', params: { id: next.request.id } })
    }
    window.addEventListener('keydown', hear)
    return () => window.removeEventListener('keydown', hear)
  }, [rows, chosen, navigate])
}

function InboxRow({
  row: { request, group, further, isUnfolded },
  chosen,
  onUnfold,
}: {
  readonly row: Grouped
  readonly chosen: boolean
  readonly onUnfold: (group: string) => void
}): ReactElement {
  return (
    <div className={chosen ? 'bg-accent-soft' : 'hover:bg-soft'}>
      <Link
        to="/requests/$id"
        params={{ id: request.id }}
        aria-current={chosen ? 'true' : undefined}
        className="block px-4 py-2 -outline-offset-2"
      >
        <span className="flex flex-wrap items-center gap-x-2">
          {request.isAccess ? (
            <Badge sign="＋" tone="warn">
              access
            </Badge>
          ) : (
            <ImpactBadge kind={request.kind} />
          )}
          <StateBadge state={request.state} />
          <span className="ml-auto text-tiny text-dim">
            <Since request={request} />
          </span>
        </span>
        <span className="mt-0.5 block truncate font-medium first-letter:uppercase">
          <Shown text={request.headline} />
        </span>
        <span className="block truncate text-small text-dim">
          <Shown text={request.agent} most={60} /> on <Shown text={request.upstream} most={60} /> ({request.environment}) ·{' '}
          {request.approvals} of {formatAmount(request.approvalsNeeded, 'approval')}
        </span>
      </Link>
      {further === 0 ? null : (
        <button
          type="button"
          aria-expanded={isUnfolded}
          onClick={() => onUnfold(group)}
          className="mx-4 mb-2 rounded text-small text-accent underline"
        >
          {isUnfolded ? 'Fold' : 'Show'} {formatCount(further)} more like it
        </button>
      )}
    </div>
  )
}

/** What waits for its time counts down; everything else says how old it is. */
function Since({ request }: { readonly request: InboxRequest }): ReactElement {
  if (request.state === 'cooling' && request.notBeforeMs !== null)
    return (
      <>
        in <Until atMs={request.notBeforeMs} />
      </>
    )
  return <Ago atMs={request.createdAtMs} />
}
