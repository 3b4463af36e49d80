import { Link } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import { formatAmount, formatCount } from '../time-words.ts'
import type { RehearsalView, TrialView } from '../shapes/policy.ts'
import { Badge, Card, Empty, Facts, ImpactBadge } from './parts.tsx'
import { Shown } from './text.tsx'
import { Ago } from './time.tsx'
import { TreatmentBadge } from './treatment.tsx'

type Read = Extract<TrialView, { outcome: 'read' }>

const gives = {
  same: 'It gives what is in force: there is nothing to propose.',
  narrower: 'It gives less than what is in force. Narrowing waits for nobody: put it into the file and start the gate again.',
  wider: 'It gives more than what is in force. People accept that with a passkey, or it stays a proposal.',
} as const

/** What came of a trial: what it gives, what it does not keep to, and what the log's requests would have got. */
export function Trial({ trial, unread }: { readonly trial: TrialView; readonly unread: number }): ReactElement {
  if (trial.outcome === 'mistakes')
    return (
      <Card title="It cannot be read">
        <ul className="list-disc pl-5" role="alert">
          {trial.lines.map((line) => (
            <li key={line}>
              <Shown text={line} most={600} />
            </li>
          ))}
        </ul>
      </Card>
    )
  return (
    <div className="grid gap-4" data-trial={trial.gives}>
      <Given trial={trial} />
      {trial.expectations.length === 0 ? null : <Expectations expectations={trial.expectations} title="What is expected" />}
      <Rehearsed rehearsal={trial.rehearsal} unread={unread} />
    </div>
  )
}

function Given({ trial }: { readonly trial: Read }): ReactElement {
  return (
    <Card title="What it gives" aside={trial.gives === 'wider' ? formatAmount(trial.widenings.length, 'line') : trial.gives}>
      <p>{gives[trial.gives]}</p>
      {trial.widenings.length === 0 ? null : (
        <ul className="mt-2 grid gap-1" aria-label="Beyond what is in force">
          {trial.widenings.map((line) => (
            <li key={line} className="flex gap-2">
              <span aria-hidden="true" className="text-warn">
                +
              </span>
              <Shown text={line} most={600} />
            </li>
          ))}
        </ul>
      )}
    </Card>
  )
}

export function Expectations({
  expectations,
  title,
}: {
  readonly expectations: readonly (Read['expectations'][number] | Omit<Read['expectations'][number], 'kept'>)[]
  readonly title: string
}): ReactElement {
  const held = expectations.filter(({ holds }) => holds).length
  return (
    <Card flush title={title} aside={`${held} of ${expectations.length} hold`}>
      <ul className="divide-y divide-line">
        {expectations.map((one) => (
          <li key={one.text} className="flex flex-wrap items-center gap-x-3 gap-y-1 px-4 py-2" data-holds={one.holds}>
            <Badge sign={one.holds ? '✓' : '✕'} tone={one.holds ? 'good' : 'danger'}>
              {one.holds ? 'holds' : 'does not hold'}
            </Badge>
            <code className="min-w-0 [overflow-wrap:anywhere]">
              <Shown text={one.text} most={400} />
            </code>
            <span className="ml-auto flex items-center gap-2 text-small text-dim">
              {'kept' in one && !one.kept ? <span className="text-warn">⚠ left out of the new text</span> : null}
              <TreatmentBadge treatment={one.got} />
            </span>
          </li>
        ))}
      </ul>
    </Card>
  )
}

function Rehearsed({ rehearsal, unread }: { readonly rehearsal: RehearsalView; readonly unread: number }): ReactElement {
  const { judged, milder, stricter, same, changes, changesLeftOut, unlike } = rehearsal
  const left = unlike + unread
  return (
    <Card
      flush
      title="Rehearsal"
      aside={
        rehearsal.fromMs === null ? null : (
          <>
            requests since <Ago atMs={rehearsal.fromMs} />
          </>
        )
      }
    >
      {judged === 0 ? (
        <Empty title="There is nothing to rehearse with">
          What agents ask goes on the log; as soon as some of it is there, it is tried under the new text.
        </Empty>
      ) : (
        <>
          <div className="px-4 py-3">
            <p data-rehearsed={judged}>
              Of {formatAmount(judged, 'request')} on the log, {formatCount(same)} would get the same.{' '}
              {milder === 0 ? '' : `${formatCount(milder)} would get through more easily. `}
              {stricter === 0 ? '' : `${formatCount(stricter)} would be held more strictly.`}
            </p>
            <div className="mt-2 text-small">
              <Facts
                facts={[
                  ['In force', <Counts key="before" counts={rehearsal.before} />],
                  ['With this text', <Counts key="after" counts={rehearsal.after} />],
                ]}
              />
            </div>
          </div>
          {changes.length === 0 ? null : <Changes changes={changes} />}
        </>
      )}
      {changesLeftOut + left === 0 ? null : (
        <p className="border-t border-line px-4 py-2 text-small text-dim">
          {changesLeftOut === 0 ? '' : `And ${formatCount(changesLeftOut)} kinds of change more. `}
          {left === 0
            ? ''
            : `${formatAmount(left, 'request')} could not be judged: a grant for a time, another policy, or a session from before the log was read.`}
        </p>
      )}
    </Card>
  )
}

function Counts({ counts }: { readonly counts: RehearsalView['before'] }): ReactElement {
  return (
    <span className="tabular-nums">
      ▶ {formatCount(counts.runs)} run · ◷ {formatCount(counts.asks)} ask · ⊘ {formatCount(counts.refused)} refused
    </span>
  )
}

function Changes({ changes }: Pick<RehearsalView, 'changes'>): ReactElement {
  return (
    <ul
      className="relative max-h-[30rem] divide-y divide-line overflow-y-auto border-t border-line"
      tabIndex={0}
      aria-label="What changes"
    >
      {changes.map((change) => (
        <li key={`${change.agent} ${change.lastIndex} ${change.count}`} className="px-4 py-2">
          <p className="flex flex-wrap items-center gap-x-2 gap-y-1">
            <ImpactBadge kind={change.kind} />
            <code className="min-w-0 [overflow-wrap:anywhere]">
              <Shown text={change.actions.join(', ')} most={200} />
            </code>
            <span className="ml-auto text-small text-dim tabular-nums">{formatCount(change.count)} ×</span>
          </p>
          <p className="mt-1 flex flex-wrap items-center gap-x-2 gap-y-1 text-small text-dim">
            <TreatmentBadge treatment={change.before} />
            <span aria-label="becomes">→</span>
            <TreatmentBadge treatment={change.after} />
            <span>
              <Shown text={change.agent} most={60} /> on <Shown text={change.upstream} most={60} />
            </span>
            <Link
              to="/log/$index"
              params={{ index: String(change.lastIndex) }}
              className="ml-auto rounded underline decoration-edge underline-offset-2"
            >
              last <Ago atMs={change.lastAtMs} />
            </Link>
          </p>
        </li>
      ))}
    </ul>
  )
}
