import type { ReactElement } from 'react'
import { formatAmount, formatDuration } from '../time-words.ts'
import type { ShownTreatment } from '../shapes/policy.ts'
import { Badge } from './parts.tsx'

/** "runs", "asks 2 people", "is refused": a sign and words, and the colour besides. */
export function TreatmentBadge({ treatment }: { readonly treatment: ShownTreatment }): ReactElement {
  switch (treatment.outcome) {
    case 'runs':
      return (
        <Badge sign="▶" tone="good">
          runs{treatment.copies ? ', copied first' : ''}
        </Badge>
      )
    case 'asks':
      return (
        <Badge sign="◷" tone="warn">
          asks {formatAmount(treatment.people, 'person', 'people')}
          {treatment.group === null ? '' : ` of ${treatment.group}`}
          {treatment.delayMs === 0 ? '' : `, waits ${formatDuration(treatment.delayMs)}`}
        </Badge>
      )
    case 'refused':
      return (
        <Badge sign="⊘" tone="danger">
          refused
        </Badge>
      )
  }
}
