import { lazy, type ReactElement, Suspense } from 'react'
import { formatDuration } from '../time-words.ts'
import type { RequestsView } from '../shapes/requests.ts'
import { Card } from './parts.tsx'

const BarPlot = lazy(() => import('./bar-plot.tsx'))

/** How people decide: an approval that is always given, and at once, protects nobody. */
export function Habits({ view }: { readonly view: RequestsView }): ReactElement {
  const { verdicts, verdictsUnderThreeSeconds: quick, waitsMs, days } = view
  const waits = waitsMs.map(({ waitMs }) => waitMs).toSorted((left, right) => left - right)
  const median = waits[Math.floor(waits.length / 2)]
  const medians = days.map(({ startMs }) => medianWait(waitsMs, startMs))
  const unit = unitOf(Math.max(0, ...medians))
  const share = verdicts === 0 ? null : Math.round((quick / verdicts) * 100)
  const sum = (of: 'approved' | 'rejected' | 'unanswered'): number => days.reduce((all, day) => all + day[of], 0)
  if (verdicts === 0 && sum('unanswered') === 0)
    return (
      <Card title="How people decide" aside="30 days">
        <p className="text-dim">Nobody has decided anything yet. How often, how soon and how fast people answer is shown here.</p>
      </Card>
    )
  return (
    <Card title="How people decide" aside="30 days">
      <h3 className="mb-1 text-small font-medium">Verdicts each day</h3>
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
        <Figure name="Median wait" value={median === undefined ? '–' : formatDuration(median)} />
        <Figure name="Decided under 3 s" value={share === null ? '–' : `${share} %`} />
        <Figure name="Verdicts in all" value={String(verdicts)} />
      </dl>
      <h3 className="mt-4 text-small font-medium">Median wait each day, in {unit.name}</h3>
      <Suspense fallback={<div className="h-[110px]" />}>
        <BarPlot
          times={days.map(({ startMs }) => startMs)}
          series={[{ colour: 'accent', values: medians.map((wait) => wait / unit.ms) }]}
          words={`Waits a day: half of all verdicts came within ${median === undefined ? 'no time known' : formatDuration(median)}`}
          height={110}
        />
      </Suspense>
      {share !== null && share >= 50 && verdicts >= 5 ? (
        <p className="mt-2 text-small text-warn">
          <span aria-hidden="true">⚠ </span>Most are decided faster than they can be read. Ask less, by narrower scope or by
          copies that can be undone.
        </p>
      ) : null}
    </Card>
  )
}

const dayMs = 86_400_000

/** Of the verdicts of one day; 0 where there was none. */
function medianWait(waits: RequestsView['waitsMs'], startMs: number): number {
  const own = waits
    .filter(({ atMs }) => atMs >= startMs && atMs < startMs + dayMs)
    .map(({ waitMs }) => waitMs)
    .toSorted((left, right) => left - right)
  return own[Math.floor(own.length / 2)] ?? 0
}

/** In which the longest of them is read at a glance. */
function unitOf(longestMs: number): { readonly name: string; readonly ms: number } {
  if (longestMs < 600_000) return { name: 'seconds', ms: 1000 }
  return longestMs < 36_000_000 ? { name: 'minutes', ms: 60_000 } : { name: 'hours', ms: 3_600_000 }
}

function Figure({ name, value }: { readonly name: string; readonly value: string }): ReactElement {
  return (
    <div>
      <dt className="text-dim">{name}</dt>
      <dd className="text-lead font-semibold tabular-nums">{value}</dd>
    </div>
  )
}
