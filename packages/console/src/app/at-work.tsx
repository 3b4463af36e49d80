import { type ReactElement, useSyncExternalStore } from 'react'
import { formatAmount, formatCount } from '../time-words.ts'
import { type Acted, type Counts, countedKinds, type NowView } from '../shapes/now.ts'
import { KillButton } from './kill.tsx'
import { currentLive, pairOf, subscribeLive } from './live.ts'
import { Badge, Card, Empty, EnvironmentBadge, ImpactBadge } from './parts.tsx'
import { Shown } from './text.tsx'
import { Ago } from './time.tsx'

/** One agent on one upstream: what it did there, what it waits for, how it is connected. */
interface Row {
  readonly agent: string
  readonly owner: string
  readonly upstream: string | null
  readonly environment: string | null
  readonly acted: Acted | null
  readonly sessions: number
  readonly waiting: number
  readonly isStopped: boolean
}

/** Who acts on what, and how hard: the worst first, then those who are quiet. Each has its own switch. */
export function AtWork({ view }: { readonly view: NowView }): ReactElement {
  const live = useSyncExternalStore(subscribeLive, () => currentLive().acting)
  const rows = rowsOf(view, live)
  return (
    <Card flush title="Agents at work" aside="the last hour">
      {rows.length === 0 ? (
        <Empty title="No agent is configured">
          Name one under <code>agents:</code> in sallyport.yaml, then <code>sallyport handle issue AGENT</code>.
        </Empty>
      ) : (
        <ul className="relative max-h-[32rem] divide-y divide-line overflow-y-auto" tabIndex={0} aria-label="Agents at work">
          {rows.map((row) => (
            <AgentRow key={pairOf(row)} row={row} />
          ))}
        </ul>
      )}
    </Card>
  )
}

function AgentRow({ row }: { readonly row: Row }): ReactElement {
  const { agent, owner, upstream, environment, acted, sessions, waiting, isStopped } = row
  const counted = countedKinds.filter((kind) => (acted?.counts[kind] ?? 0) > 0).toReversed()
  return (
    <li className="grid grid-cols-[minmax(0,1fr)_auto] items-center gap-x-3 px-4 py-2.5" data-acting={agent}>
      <div className="grid min-w-0 gap-1.5">
        <p className="flex flex-wrap items-center gap-x-1.5 gap-y-0.5">
          <span className="font-medium">
            <Shown text={agent} most={60} />
          </span>
          <span className="text-small text-dim">
            for <Shown text={owner} most={60} />
          </span>
          {upstream === null ? null : (
            <>
              <span aria-hidden="true" className="text-dim">
                →
              </span>
              <span className="sr-only">on</span>
              <span className="font-medium">
                <Shown text={upstream} most={60} />
              </span>
              {environment === null ? null : <EnvironmentBadge environment={environment} />}
            </>
          )}
        </p>
        <p className="flex flex-wrap items-center gap-1.5 text-small text-dim">
          {isStopped ? (
            <Badge sign="■" tone="danger">
              stopped
            </Badge>
          ) : null}
          {waiting === 0 ? null : (
            <Badge sign="◷" tone="warn">
              {formatCount(waiting)} waiting
            </Badge>
          )}
          {counted.map((kind) => (
            <ImpactBadge key={kind} kind={kind} count={acted?.counts[kind] ?? 0} />
          ))}
          <span>
            {acted === null ? 'did nothing in the last hour' : <Ago atMs={acted.lastAtMs} />}
            {sessions === 0 ? '' : ` · ${formatAmount(sessions, 'open session')}`}
          </span>
        </p>
      </div>
      <KillButton label={`Kill agent ${agent}`} killing={{ scope: { kind: 'agent', id: agent }, name: `agent ${agent}` }}>
        Kill
      </KillButton>
    </li>
  )
}

/** What acted, is connected or waits, once an agent and upstream; then every other agent, so that none is without its switch. */
function rowsOf(view: NowView, live: ReadonlyMap<string, Acted>): readonly Row[] {
  const acted = new Map(view.acting.map((one) => [pairOf(one), one]))
  for (const [key, one] of live) if (one.lastAtMs >= (acted.get(key)?.lastAtMs ?? 0)) acted.set(key, one)
  const pairs = new Map<string, Pick<Acted, 'agent' | 'upstream'>>()
  for (const pair of [...acted.values(), ...view.sessions, ...view.waiting]) pairs.set(pairOf(pair), pair)
  const busy = new Set([...pairs.values()].map(({ agent }) => agent))
  for (const { name } of view.agents)
    if (!busy.has(name)) pairs.set(pairOf({ agent: name, upstream: null }), { agent: name, upstream: null })
  return [...pairs.values()].map((pair) => rowOf(pair, view, acted.get(pairOf(pair)) ?? null)).toSorted(byUrgency)
}

function rowOf({ agent, upstream }: Pick<Acted, 'agent' | 'upstream'>, view: NowView, acted: Acted | null): Row {
  const isSame = (other: Pick<Acted, 'agent' | 'upstream'>): boolean => other.agent === agent && other.upstream === upstream
  const owner = view.agents.find(({ name }) => name === agent)?.owner ?? view.waiting.find(isSame)?.owner ?? '?'
  return {
    agent,
    owner,
    upstream,
    environment: upstream === null ? null : (view.environments[upstream] ?? null),
    acted,
    sessions: view.sessions.filter(isSame).length,
    waiting: view.waiting.filter(isSame).length,
    isStopped: view.kills.some(
      ({ scope: { kind, id } }) =>
        kind === 'all' ||
        (kind === 'agent' && id === agent) ||
        (kind === 'owner' && id === owner) ||
        (kind === 'upstream' && id === upstream),
    ),
  }
}

function byUrgency(left: Row, right: Row): number {
  return (
    right.waiting - left.waiting ||
    worst(right.acted?.counts) - worst(left.acted?.counts) ||
    right.sessions - left.sessions ||
    pairOf(left).localeCompare(pairOf(right))
  )
}

/** The place of the worst that it did: an order that does not jump with every operation. */
function worst(counts: Counts | undefined): number {
  return counts === undefined ? -1 : countedKinds.findLastIndex((kind) => counts[kind] > 0)
}
