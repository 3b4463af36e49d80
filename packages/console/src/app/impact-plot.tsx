import { type ReactElement, useMemo, useSyncExternalStore } from 'react'
import UPlot from 'uplot'
import { type CountedAs, countedKinds, type Minute } from '../shapes/now.ts'
import { currentLive, subscribeLive } from './live.ts'
import { signOf } from './parts.tsx'
import { colourOf, Plot } from './plot.tsx'

const colours: Readonly<Record<CountedAs, string>> = {
  read: 'edge',
  write: 'accent',
  disrupt: 'warn',
  escalate: 'violet',
  destroy: 'bad',
  unknown: 'ink',
  refused: 'teal',
}
const height = 176

/** Operations a minute, stacked by what they do, mildest at the foot. */
export default function ImpactPlot({ minutes }: { readonly minutes: readonly Minute[] }): ReactElement {
  const latest = useSyncExternalStore(subscribeLive, () => currentLive().minute)
  const data = useMemo(() => stack(withLatest(minutes, latest)), [minutes, latest])
  const sum = minutes.reduce((all, { counts }) => all + countedKinds.reduce((some, kind) => some + counts[kind], 0), 0)
  const shown = countedKinds.filter((kind) => minutes.some(({ counts }) => counts[kind] > 0) || (latest?.counts[kind] ?? 0) > 0)
  return (
    <>
      <Plot options={options} data={data} height={height} words={`Operations of the last hour by what they do: ${sum} in all`} />
      <ul className="mt-1 flex flex-wrap gap-x-4 text-small text-dim">
        {shown.map((kind) => (
          <li key={kind} className="flex items-center gap-1.5">
            <span aria-hidden="true" className="size-2.5 rounded-xs" style={{ background: `var(--color-${colours[kind]})` }} />
            <span aria-hidden="true">{signOf(kind)}</span> {kind}
          </li>
        ))}
      </ul>
    </>
  )
}

function withLatest(minutes: readonly Minute[], latest: Minute | null): readonly Minute[] {
  if (latest === null) return minutes
  return [...minutes.filter(({ startMs }) => startMs < latest.startMs), latest].slice(-60)
}

/** The worst is drawn first and highest; each milder one over it, up to its own sum. */
function stack(minutes: readonly Minute[]): UPlot.AlignedData {
  const sums = countedKinds.map((_, level) =>
    minutes.map(({ counts }) => countedKinds.slice(0, level + 1).reduce((sum, kind) => sum + counts[kind], 0)),
  )
  return [minutes.map(({ startMs }) => startMs / 1000), ...sums.toReversed()]
}

function options(): Omit<UPlot.Options, 'width' | 'height'> {
  const axis = {
    stroke: colourOf('dim'),
    grid: { stroke: colourOf('line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui',
  }
  const bars = UPlot.paths.bars?.({ size: [0.7, 14], align: 1 })
  return {
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 4, 0, 0],
    scales: {
      x: { range: (_plot, first, last) => [first, last + 60] },
      y: { range: (_plot, _low, high) => [0, Math.max(4, high * 1.1)] },
    },
    axes: [
      { ...axis, size: 26, grid: { show: false }, values: [[60, '{HH}:{mm}', null, null, null, null, null, null, 1]] },
      { ...axis, size: 40, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000] },
    ],
    series: [
      {},
      ...countedKinds.toReversed().map((kind) => ({
        stroke: colourOf(colours[kind]),
        fill: colourOf(colours[kind]),
        ...(bars === undefined ? {} : { paths: bars }),
        points: { show: false },
        width: 0,
      })),
    ],
  }
}
