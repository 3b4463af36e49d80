import { useNavigate } from '@tanstack/react-router'
import { memo, type MouseEvent, type ReactElement, useCallback, useSyncExternalStore } from 'react'
import { formatAmount } from '../time-words.ts'
import type { ShownLine } from '../shapes/now.ts'
import { Stream } from './frame.tsx'
import { currentLive, subscribeLive } from './live.ts'
import { Card, Empty } from './parts.tsx'
import { Clock } from './time.tsx'

/** Lines in the document at once: a glance. The log has all of them. */
const linesShown = 60

/** What happens, as it goes on the log. */
export function Feed(): ReactElement {
  const lines = useSyncExternalStore(subscribeLive, () => currentLive().lines)
  const skipped = useSyncExternalStore(subscribeLive, () => currentLive().skipped)
  return (
    <Card flush title="As it happens" aside={<Stream />}>
      {lines.length === 0 ? (
        <Empty title="Nothing has happened yet">What agents do appears here as it goes on the log.</Empty>
      ) : (
        <Lines lines={lines.slice(0, linesShown)} label="Events, newest first" height="max-h-[32rem]" />
      )}
      {skipped === 0 ? null : (
        <p className="border-t border-line px-4 py-2 text-small text-dim" data-skipped={skipped}>
          {formatAmount(skipped, 'event')} went by too fast to show; they are counted above, and on the log.
        </p>
      )}
    </Card>
  )
}

/** Events, each of which leads to its entry on the log. */
export function Lines({
  lines,
  label,
  height,
}: {
  readonly lines: readonly ShownLine[]
  readonly label: string
  readonly height: string
}): ReactElement {
  const navigate = useNavigate()
  const open = useCallback(
    (event: MouseEvent, index: number): void => {
      if (event.metaKey || event.ctrlKey) return
      event.preventDefault()
      void navigate({ to: '/log/$index', params: { index: String(index) } })
    },
    [navigate],
  )
  return (
    <ol
      aria-label={label}
      tabIndex={0}
      data-feed
      className={`relative divide-y divide-line overflow-y-auto text-small ${height}`}
    >
      {lines.map((line) => (
        <FeedLine key={line.index} line={line} onOpen={open} />
      ))}
    </ol>
  )
}

const lineTones = { calm: '', warn: 'text-warn', danger: 'text-bad' } as const

/** Drawn once: hundreds come and go in a second. */
const FeedLine = memo(function FeedLine({
  line,
  onOpen,
}: {
  readonly line: ShownLine
  readonly onOpen: (event: MouseEvent, index: number) => void
}): ReactElement {
  return (
    <li>
      <a
        href={`/console/log/${line.index}`}
        onClick={(event) => onOpen(event, line.index)}
        title={line.detail}
        className="block px-4 py-2 -outline-offset-2 hover:bg-soft"
      >
        <span className="flex justify-between gap-3">
          <span className={`font-medium ${lineTones[line.tone]}`}>{line.what}</span>
          <span className="text-dim">
            <Clock atMs={line.atMs} />
          </span>
        </span>
        <span className="line-clamp-2 text-dim [overflow-wrap:anywhere]">{line.detail}</span>
      </a>
    </li>
  )
})
