import { type ReactElement, useEffect, useRef } from 'react'
import UPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { useTheme } from './theme.ts'

/** A colour of the style sheet, as it is right now. */
export function colourOf(name: string): string {
  const probe = document.createElement('span')
  probe.style.color = `var(--color-${name})`
  document.body.append(probe)
  const colour = getComputedStyle(probe).color
  probe.remove()
  return colour
}

/** A plot, as wide as there is room, made anew when the colours change and fed anew when the figures do. Its words are for who does not see it. */
export function Plot({
  options,
  colours = '',
  data,
  height,
  words,
}: {
  readonly options: (colours: string) => Omit<UPlot.Options, 'width' | 'height'>
  /** Names of colours, for the options. */
  readonly colours?: string
  readonly data: UPlot.AlignedData
  readonly height: number
  readonly words: string
}): ReactElement {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<UPlot | null>(null)
  const figures = useRef(data)
  const theme = useTheme()
  useEffect(() => {
    const element = place.current
    if (element === null) return undefined
    // Drawn with the colours of the style sheet, which are others from now on.
    element.dataset['colours'] = theme
    const make = (): void => {
      plot.current?.destroy()
      plot.current = new UPlot({ ...options(colours), width: element.clientWidth, height }, figures.current, element)
    }
    make()
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }))
    resized.observe(element)
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    scheme.addEventListener('change', make)
    return () => {
      scheme.removeEventListener('change', make)
      resized.disconnect()
      plot.current?.destroy()
      plot.current = null
    }
  }, [options, colours, height, theme])
  useEffect(() => {
    figures.current = data
    plot.current?.setData(data)
  }, [data])
  return <div ref={place} role="img" aria-label={words} className="w-full overflow-hidden" style={{ height }} />
}
