import type { ReactElement } from 'react'
import UPlot from 'uplot'
import { colourOf, Plot } from './plot.tsx'

interface Series {
  readonly colour: string
  readonly values: readonly number[]
}

/** Bars over time, stacked in the order given, the first at the foot. */
export default function BarPlot({
  times,
  series,
  words,
  height = 120,
}: {
  /** Unix ms. */
  readonly times: readonly number[]
  readonly series: readonly Series[]
  readonly words: string
  readonly height?: number
}): ReactElement {
  const sums = series.map((_, level) =>
    times.map((_time, index) => series.slice(0, level + 1).reduce((sum, { values }) => sum + (values[index] ?? 0), 0)),
  )
  const data: UPlot.AlignedData = [times.map((atMs) => atMs / 1000), ...sums.toReversed()]
  const colours = series
    .map(({ colour }) => colour)
    .toReversed()
    .join(' ')
  return <Plot options={optionsOf} colours={colours} data={data} height={height} words={words} />
}

function optionsOf(colours: string): Omit<UPlot.Options, 'width' | 'height'> {
  const axis = {
    stroke: colourOf('dim'),
    grid: { stroke: colourOf('line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui',
  }
  const bars = UPlot.paths.bars?.({ size: [0.7, 18] })
  return {
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 8, 0, 0],
    scales: { y: { range: (_plot, _low, high) => [0, Math.max(4, high * 1.1)] } },
    axes: [
      {
        ...axis,
        size: 26,
        grid: { show: false },
        values: [
          [86_400, '{D} {MMM}', null, null, null, null, null, null, 1],
          [1, '{HH}:{mm}', null, null, null, null, null, null, 1],
        ],
      },
      { ...axis, size: 36, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] },
    ],
    series: [
      {},
      ...colours.split(' ').map((colour) => ({
        stroke: colourOf(colour),
        fill: colourOf(colour),
        ...(bars === undefined ? {} : { paths: bars }),
        points: { show: false },
        width: 0,
      })),
    ],
  }
}
