import { type ReactElement, useSyncExternalStore } from 'react'

/** The last thing the gate said to something that was done here. */
let said = ''
const listeners = new Set<() => void>()

export function tell(sentence: string): void {
  said = sentence
  for (const listener of listeners) listener()
}

/** A line at the foot, read out by screen readers; it stays until it is dismissed or something else is said. */
export function Said(): ReactElement {
  const sentence = useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => said,
  )
  return (
    <div role="status" aria-live="polite" className="pointer-events-none fixed inset-x-0 bottom-4 z-30 flex justify-center px-4">
      {sentence === '' ? null : (
        <p className="pointer-events-auto flex items-center gap-3 rounded-lg border border-line bg-card px-4 py-2 shadow-lg">
          {sentence}
          <button type="button" className="rounded px-1 text-dim hover:text-ink" aria-label="Dismiss" onClick={() => tell('')}>
            ✕
          </button>
        </p>
      )}
    </div>
  )
}
