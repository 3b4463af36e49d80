import { type ReactElement, useSyncExternalStore } from 'react'
import { formatDuration, formatInstant } from '../time-words.ts'

/** How far this machine's clock is ahead of the gate's, as the document came. */
const skewMs = Date.now() - Number(document.body.dataset['now'] ?? Date.now())

export function gateNowMs(): number {
  return Date.now() - skewMs
}

const listeners = new Set<() => void>()
let shownMs = gateNowMs()
let timer: ReturnType<typeof setInterval> | null = null

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  timer ??= setInterval(() => {
    if (document.hidden) return
    shownMs = gateNowMs()
    for (const each of listeners) each()
  }, 1000)
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0 || timer === null) return
    clearInterval(timer)
    timer = null
  }
}

/** The gate's time, a second at a time: one timer for all that shows it. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => shownMs)
}

/** "4 min ago", the exact moment on hover. */
export function Ago({ atMs }: { readonly atMs: number }): ReactElement {
  const nowMs = useNow()
  return (
    <time dateTime={new Date(atMs).toISOString()} title={formatInstant(atMs)} className="whitespace-nowrap tabular-nums">
      {nowMs - atMs < 1500 ? 'now' : `${formatDuration(nowMs - atMs)} ago`}
    </time>
  )
}

/** What is left until then. */
export function Until({ atMs }: { readonly atMs: number }): ReactElement {
  const nowMs = useNow()
  return (
    <time dateTime={new Date(atMs).toISOString()} title={formatInstant(atMs)} className="whitespace-nowrap tabular-nums">
      {formatDuration(atMs - nowMs)}
    </time>
  )
}

/** The clock's time of day, in the reader's zone; date and zone on hover. */
export function Clock({ atMs }: { readonly atMs: number }): ReactElement {
  const at = new Date(atMs)
  const two = (number: number): string => String(number).padStart(2, '0')
  return (
    <time dateTime={at.toISOString()} title={formatInstant(atMs)} className="tabular-nums">
      {`${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`}
    </time>
  )
}
