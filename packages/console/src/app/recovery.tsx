import type { ReactElement, ReactNode } from 'react'
import { formatDuration } from '../time-words.ts'
import { Shown } from './text.tsx'
import { Ago } from './time.tsx'

interface Drill {
  readonly passed: boolean
  readonly atMs: number
  readonly why: string
}

/** RPO, RTO and the last try of both, in the words of those whose data it is. */
export function recoveryFacts(target: {
  readonly wouldLoseMs: number | null
  readonly restoreTookMs: number | null
  readonly drill: Drill | null
}): readonly (readonly [string, ReactNode])[] {
  const { wouldLoseMs, restoreTookMs, drill } = target
  return [
    ['Would lose (RPO)', <Loss key="loss" wouldLoseMs={wouldLoseMs} />],
    ['Restore took (RTO)', restoreTookMs === null ? 'no restore was tried' : formatDuration(restoreTookMs)],
    ['Last drill', drill === null ? 'no drill was run' : <LastDrill key="drill" drill={drill} />],
  ]
}

function Loss({ wouldLoseMs }: { readonly wouldLoseMs: number | null }): ReactElement {
  if (wouldLoseMs === null) return <span className="font-medium text-bad">✕ everything</span>
  return <>{wouldLoseMs === 0 ? 'nothing that was committed' : `the last ${formatDuration(wouldLoseMs)}`}</>
}

function LastDrill({ drill }: { readonly drill: Drill }): ReactElement {
  return (
    <span className={drill.passed ? '' : 'font-medium text-bad'}>
      {drill.passed ? '✓ passed' : '✕ failed'} <Ago atMs={drill.atMs} />: <Shown text={drill.why} />
    </span>
  )
}
