import { useQuery, useQueryClient } from '@tanstack/react-query'
import { type ReactElement, useEffect, useState } from 'react'
import { formatAmount, formatBytes } from '../time-words.ts'
import { jobShape, type JobView, type ShownVaultTarget, type VaultView } from '../shapes/vault.ts'
import { ask, explain, post } from './api.ts'
import { Badge, Button, Card, Facts } from './parts.tsx'
import { recoveryFacts } from './recovery.tsx'
import { Shown } from './text.tsx'
import { Ago, Until } from './time.tsx'

/** How soon a piece of work is looked at again while it goes on. */
const lookAgainMs = 700
/** Put back by the gate itself; the others are taken out by the command line. */
const putBackKinds: readonly string[] = ['bucket']

type What = 'copy' | 'drill' | 'restore'
const orders: Readonly<Record<What, string>> = { copy: 'Copy now', drill: 'Drill a restore', restore: 'Put back what is missing' }

/** One protected thing: what would be lost, how long it took to have it back, and work on it. */
export function KeptThing({ target }: { readonly target: ShownVaultTarget }): ReactElement {
  return (
    <Card title={target.name} aside={`kept whole, a ${target.kind}`}>
      <div className="mb-3 flex flex-wrap gap-1.5">
        <Posture target={target} />
      </div>
      <TargetNumbers target={target} />
      <Work target={target} />
    </Card>
  )
}

function Posture({ target: { by, drilled, held } }: { readonly target: ShownVaultTarget }): ReactElement {
  return (
    <>
      {by === null ? (
        <Badge sign="✕" tone="danger">
          no proven copy
        </Badge>
      ) : (
        <Badge sign="✓" tone="good">
          {by === 'stream' ? 'any second can be restored' : 'restored to its last copy'}
        </Badge>
      )}
      {drilled ? null : (
        <Badge sign="✕" tone="danger">
          drill overdue: nothing may be destroyed
        </Badge>
      )}
      {held === 0 ? null : (
        <Badge sign="▣" tone="calm">
          {formatAmount(held, 'hold')}
        </Badge>
      )}
    </>
  )
}

function TargetNumbers({ target }: { readonly target: ShownVaultTarget }): ReactElement {
  const { newestCopy, lastDrill, stream, copies } = target
  return (
    <Facts
      facts={[
        ...recoveryFacts({ ...target, drill: lastDrill }),
        [
          'Newest copy',
          newestCopy === null ? (
            'none yet'
          ) : (
            <span key="newest">
              <Ago atMs={newestCopy.madeAtMs} />, kept for <Until atMs={newestCopy.retainUntilMs} /> more
            </span>
          ),
        ],
        ['Copies', formatAmount(copies, 'copy', 'copies')],
        ...(stream === null ? [] : [['WAL', <Stream key="wal" stream={stream} />] as const]),
      ]}
    />
  )
}

function Stream({ stream }: { readonly stream: NonNullable<ShownVaultTarget['stream']> }): ReactElement {
  const { state, why, behindBytes, durableAtMs, provenAtMs } = stream
  return (
    <>
      {state}
      {why === null ? null : (
        <>
          : <Shown text={why} />
        </>
      )}
      {behindBytes === null ? null : `, ${formatBytes(behindBytes)} behind`}
      {durableAtMs === null ? null : (
        <>
          , in the vault up to <Ago atMs={durableAtMs} />
        </>
      )}
      {provenAtMs === null ? ', no restore of it was proven yet' : null}
    </>
  )
}

/** Nothing of it takes anything away, so nobody has to be asked. */
function Work({ target: { name, kind } }: { readonly target: ShownVaultTarget }): ReactElement {
  const [job, setJob] = useState<string | null>(null)
  const [failed, setFailed] = useState<string | null>(null)
  const begin = async (what: What): Promise<void> => {
    setFailed(null)
    try {
      setJob((await post('/console/keeping', { what, name }, jobShape)).id)
    } catch (error) {
      setFailed(explain(error))
    }
  }
  const offered: readonly What[] = putBackKinds.includes(kind) ? ['copy', 'drill', 'restore'] : ['copy', 'drill']
  return (
    <div className="mt-3 border-t border-line pt-3">
      <div className="flex flex-wrap gap-2">
        {offered.map((what) => (
          <Button key={what} small onClick={() => void begin(what)}>
            {orders[what]}
          </Button>
        ))}
      </div>
      {failed === null ? null : (
        <p role="alert" className="mt-2 text-small text-bad">
          {failed}
        </p>
      )}
      {job === null ? null : <Job key={job} id={job} />}
    </div>
  )
}

function Job({ id }: { readonly id: string }): ReactElement | null {
  const queries = useQueryClient()
  const { data } = useQuery({
    queryKey: ['keeping', id],
    queryFn: ({ signal }) => ask(`/console/data/keeping/${id}`, jobShape, signal),
    refetchInterval: ({ state }) => (isOver(state.data) ? false : lookAgainMs),
  })
  const over = isOver(data)
  useEffect(() => {
    if (over) void queries.invalidateQueries({ queryKey: ['vault'] })
  }, [over, queries])
  if (data === undefined) return null
  return (
    <div className="mt-2 text-small" role="status" data-job={data.state}>
      {over ? (
        <p className={data.state === 'failed' ? 'text-bad' : ''}>
          {data.state === 'failed' ? '✕ ' : '✓ '}
          <Shown text={data.sentence} most={1000} />
        </p>
      ) : (
        <Progress job={data} />
      )}
    </div>
  )
}

function isOver(job: JobView | undefined): boolean {
  return job?.state === 'done' || job?.state === 'failed'
}

function Progress({ job: { what, step, done, total, state } }: { readonly job: JobView }): ReactElement {
  const label = state === 'waiting' ? `${what} waits for what was begun before` : step || `${what} runs`
  return (
    <label className="grid gap-1">
      <span className="text-dim">
        <Shown text={label} most={160} />
        {total > 0 ? ` · ${done.toLocaleString('en-US')} of ${total.toLocaleString('en-US')}` : ''}
      </span>
      <progress className="h-1.5 w-full accent-accent" {...(total > 0 ? { value: done, max: total } : {})} />
    </label>
  )
}

/** What keeping it takes, and what it will take if it goes on like that. */
export function Room({ view: { storage, worth, holds } }: { readonly view: VaultView }): ReactElement | null {
  if (storage === null) return null
  const { bytes, walBytes, addedBytesPerDay, bytesIn30Days, quotaBytes, freeBytes } = storage
  const short = (count: number): string => formatBytes(count).replace(/ \(.*/, '')
  const isShort = bytesIn30Days - bytes > freeBytes || (quotaBytes !== null && bytesIn30Days > quotaBytes)
  return (
    <Card title="Room" aside={isShort ? <span className="font-medium text-bad">✕ not enough for 30 days</span> : null}>
      <Facts
        facts={[
          ['Copies take', `${short(bytes)}, WAL ${short(walBytes)}`],
          ['A day adds', short(addedBytesPerDay)],
          ['In 30 days', `about ${short(bytesIn30Days)}, if it goes on like that`],
          ['Quota', quotaBytes === null ? 'none' : short(quotaBytes)],
          ['Free on its disk', short(freeBytes)],
          ['What it is worth', <Shown key="worth" text={worth} most={400} />],
        ]}
      />
      {holds.length === 0 ? null : (
        <ul className="mt-3 grid gap-1 border-t border-line pt-2 text-small" aria-label="Held">
          {holds.map(({ snapshot, upstream, reason }) => (
            <li key={snapshot}>
              ▣ <code title={snapshot}>{snapshot.slice(0, 12)}</code> <Shown text={upstream ?? ''} most={60} />:{' '}
              <Shown text={reason} most={300} />
            </li>
          ))}
        </ul>
      )}
    </Card>
  )
}
