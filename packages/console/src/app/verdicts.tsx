import type { ReactElement } from 'react'
import { formatAmount } from '../time-words.ts'
import type { RequestDetail } from '../shapes/requests.ts'
import { Card } from './parts.tsx'
import { Shown } from './text.tsx'
import { Ago, Until } from './time.tsx'

type Verdict = RequestDetail['approvals'][number]

/** Who of whom has said what, and who is still asked. */
export function Verdicts({ detail }: { readonly detail: RequestDetail }): ReactElement {
  const { approvals, quorum, request, endedBy } = detail
  const counted = approvals.filter(({ counts }) => counts).length
  const missing = Math.max(0, request.approvalsNeeded - counted)
  const silent = quorum?.members.filter((name) => !approvals.some(({ person }) => person === name)) ?? []
  return (
    <Card title="Verdicts" aside={`${counted} of ${formatAmount(request.approvalsNeeded, 'approval')}`}>
      {quorum === null ? null : (
        <p className="mb-2 text-small">
          Only people of the group <span className="font-medium">{quorum.group}</span> count.
          {missing === 0 || silent.length === 0 || request.state !== 'pending' ? null : (
            <span className="text-dim">
              {' '}
              {missing} of these can still say yes: <Shown text={silent.join(', ')} most={300} />
            </span>
          )}
        </p>
      )}
      {approvals.length === 0 ? (
        <p className="text-dim">Nobody has answered. No answer is a no.</p>
      ) : (
        <ul className="grid gap-2">
          {approvals.map((approval) => (
            <li key={approval.person}>
              <Given approval={approval} />
            </li>
          ))}
        </ul>
      )}
      {endedBy === null ? null : (
        <p className="mt-2 text-small text-dim">
          Ended by <Shown text={endedBy} most={80} />
        </p>
      )}
    </Card>
  )
}

function Given({ approval }: { readonly approval: Verdict }): ReactElement {
  const { person, verdict, atMs, reason, brokeGlass, byCode, counts, conditions } = approval
  return (
    <>
      <p>
        <span aria-hidden="true">{brokeGlass ? '⚠' : verdict === 'approve' ? '✓' : '✕'} </span>
        <Shown text={person} most={80} />{' '}
        <span className={brokeGlass ? 'font-medium text-bad' : ''}>
          {brokeGlass ? 'broke glass' : verdict === 'approve' ? 'approved' : 'rejected'}
          {byCode ? ' by a one-time code, which signs nothing' : ''}
        </span>{' '}
        <span className="text-dim">
          <Ago atMs={atMs} />
          {verdict === 'approve' && !counts ? ', which does not count here' : ''}
        </span>
      </p>
      {conditions === null ? null : <Conditions {...conditions} />}
      {reason === '' ? null : (
        <p className="pl-4 text-small text-dim">
          “<Shown text={reason} most={1000} />”
        </p>
      )}
    </>
  )
}

function Conditions({ rowsMax, notBeforeMs }: NonNullable<Verdict['conditions']>): ReactElement {
  return (
    <p className="pl-4 text-small text-warn">
      but {rowsMax === null ? '' : `at most ${formatAmount(rowsMax, 'row')}`}
      {rowsMax !== null && notBeforeMs !== null ? ', ' : ''}
      {notBeforeMs === null ? null : (
        <>
          not for another <Until atMs={notBeforeMs} />
        </>
      )}
    </p>
  )
}
