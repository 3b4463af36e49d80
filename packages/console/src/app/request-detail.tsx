import { useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { type ReactElement, useState } from 'react'
import { formatAmount, formatBytes } from '../time-words.ts'
import { type RequestDetail, requestDetailShape } from '../shapes/requests.ts'
import { explain, post, saidShape } from './api.ts'
import { useAsked } from './asking.ts'
import { Awaiting } from './awaiting.tsx'
import { Button, Card, EnvironmentBadge, Facts, ImpactBadge, linkLook } from './parts.tsx'
import { StateBadge, When } from './request-row.tsx'
import { tell } from './said.tsx'
import { Statement } from './statement.tsx'
import { Shown } from './text.tsx'
import { Ago, Until } from './time.tsx'
import { Verdicts } from './verdicts.tsx'

/** One question, with what helps to judge it. The verdict is given on the page that the gate renders itself. */
export function Detail({ id }: { readonly id: string }): ReactElement {
  const asked = useAsked(`requests/${id}`, requestDetailShape)
  return (
    <div className="min-w-0 lg:col-start-2 lg:row-span-2 lg:row-start-1">
      <Awaiting asked={asked}>{(detail) => <Question detail={detail} />}</Awaiting>
    </div>
  )
}

function Question({ detail }: { readonly detail: RequestDetail }): ReactElement {
  const { request } = detail
  return (
    <div className="grid items-start gap-4 2xl:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
      <div className="grid min-w-0 gap-4">
        <Asked detail={detail} />
        {detail.steps.length === 0 ? null : <Steps steps={detail.steps} />}
        <Operations detail={detail} />
      </div>
      <div className="grid min-w-0 gap-4">
        <Protection detail={detail} />
        <Verdicts detail={detail} />
        <Past detail={detail} />
        <Card title="Who asks">
          <Facts
            facts={[
              ['Agent', <Shown key="agent" text={request.agent} />],
              ['For', <Shown key="owner" text={request.owner} />],
              ['Where', <Shown key="where" text={`${request.upstream}, by ${detail.protocol}`} />],
              ['Session', <SessionLink key="session" id={detail.session} />],
              ['Asked', <Ago key="asked" atMs={request.createdAtMs} />],
            ]}
          />
        </Card>
      </div>
    </div>
  )
}

function SessionLink({ id }: { readonly id: string }): ReactElement {
  return (
    <a className={linkLook} href={`/sessions/${encodeURIComponent(id)}`}>
      <code>
        <Shown text={id} />
      </code>
    </a>
  )
}

function Protection({ detail }: { readonly detail: RequestDetail }): ReactElement {
  const { isCopied, copySentence, newestCopyAtMs, limitSentence, guards } = detail
  return (
    <Card title="What protects you">
      <Facts
        facts={[
          [
            'Copy',
            <span key="copy" className={isCopied ? '' : 'font-medium text-bad'}>
              {isCopied ? '' : '✕ '}
              {copySentence}
            </span>,
          ],
          [
            'Newest copy',
            newestCopyAtMs === null ? 'none that holds all of this yet' : <Ago key="newest" atMs={newestCopyAtMs} />,
          ],
          ['Limit', limitSentence],
          ['Asked by', <Guards key="guards" guards={guards} />],
        ]}
      />
    </Card>
  )
}

function Asked({ detail }: { readonly detail: RequestDetail }): ReactElement {
  const { request } = detail
  const waits = request.state === 'pending'
  return (
    <section aria-label="What is asked" className="rounded-lg border border-line bg-card p-4">
      <div className="flex flex-wrap items-center gap-2">
        <ImpactBadge kind={request.kind} />
        <EnvironmentBadge environment={request.environment} />
        <StateBadge state={request.state} />
        <span className="text-small text-dim">
          <When request={request} />
        </span>
      </div>
      <h2 className="mt-2 text-title font-semibold tracking-tight first-letter:uppercase">
        <Shown text={request.headline} />
      </h2>
      {request.further.map((sentence) => (
        <p key={sentence} className="text-dim">
          <Shown text={sentence} />
        </p>
      ))}
      <div className="mt-3">
        <Statement
          label={detail.steps.length === 0 ? 'The exact statement' : 'What the plan is for, in the agent’s words'}
          text={detail.text}
          protocol={detail.protocol}
        />
      </div>
      <BindValues values={detail.bindValues} />
      <div className="mt-3.5 flex flex-wrap items-center gap-3">
        <a
          href={`/requests/${request.id}`}
          className={`inline-flex h-9 items-center rounded-md px-3 font-medium ${waits ? 'bg-ink text-ground' : 'border border-line hover:bg-soft'}`}
        >
          {waits ? 'Give your verdict' : 'Open the approval page'}
        </a>
        <span className="text-small text-dim">
          {request.approvals} of {formatAmount(request.approvalsNeeded, 'approval')}
        </span>
        <Acts detail={detail} />
      </div>
      {detail.reviewDue ? (
        <p className="mt-3 rounded-md bg-warn-soft px-2.5 py-1.5 text-small text-warn">
          <span aria-hidden="true">⚠ </span>One person broke glass for this. Somebody else has to look at it, on the approval
          page.
        </p>
      ) : null}
    </section>
  )
}

function BindValues({ values }: { readonly values: readonly string[] }): ReactElement | null {
  if (values.length === 0) return null
  return (
    <ol className="mt-3 grid gap-1 text-small" aria-label="Bound values">
      {values.map((value, index) => (
        <li key={index} className="font-mono">
          <span className="text-dim">${index + 1} </span>
          <Shown text={value} />
        </li>
      ))}
    </ol>
  )
}

/** What needs no passkey, because it only takes away. */
function Acts({ detail: { request, standsUntilMs } }: { readonly detail: RequestDetail }): ReactElement {
  const [busy, setBusy] = useState(false)
  const queries = useQueryClient()
  const act = async (address: string): Promise<void> => {
    setBusy(true)
    try {
      tell((await post(address, {}, saidShape)).message ?? 'Done.')
      await queries.invalidateQueries()
    } catch (error) {
      tell(explain(error))
    } finally {
      setBusy(false)
    }
  }
  const isWaiting = request.state === 'cooling' || (request.state === 'approved' && standsUntilMs === null)
  return (
    <>
      {request.state === 'cooling' && request.notBeforeMs !== null ? (
        <span className="text-small text-warn">
          ◷ runs in <Until atMs={request.notBeforeMs} /> at the earliest; anybody can cancel it until then
        </span>
      ) : null}
      {isWaiting ? (
        <Button look="stop" disabled={busy} onClick={() => void act(`/requests/${request.id}/cancel`)}>
          Cancel it
        </Button>
      ) : null}
      {standsUntilMs === null ? null : (
        <>
          <span className="text-small">
            stands for another <Until atMs={standsUntilMs} />
          </span>
          <Button look="stop" disabled={busy} onClick={() => void act(`/requests/${request.id}/end-standing`)}>
            End it now
          </Button>
        </>
      )}
    </>
  )
}

function Guards({ guards }: { readonly guards: RequestDetail['guards'] }): ReactElement {
  return (
    <ul className="grid gap-1.5">
      {guards.map((guard) => (
        <li key={guard.id}>
          <Shown text={guard.why} most={1000} />{' '}
          <code className="text-dim">
            <Shown text={guard.id} />
          </code>
        </li>
      ))}
    </ul>
  )
}

/** A plan, step by step: what is beyond it asks anew. */
function Steps({ steps }: Pick<RequestDetail, 'steps'>): ReactElement {
  return (
    <Card title="The plan" aside={formatAmount(steps.length, 'step')}>
      <p className="mb-3 text-small text-dim">
        Each step runs once, in this order, and only after the one before it succeeded. Anything else is asked about by itself.
      </p>
      <ol className="grid gap-5" data-steps={steps.length}>
        {steps.map((step, index) => (
          <li key={step.request}>
            <p className="mb-1.5 flex flex-wrap items-center gap-2">
              <span className="font-medium">Step {index + 1}</span>
              {step.state === null ? null : <StateBadge state={step.state} />}
              <span className="text-small text-dim">{formatAmount(step.operationsCount, 'operation')}</span>
              <Link to="/requests/$id" params={{ id: step.request }} className={`ml-auto text-small ${linkLook}`}>
                by itself
              </Link>
            </p>
            <Statement label="What the agent sent" text={step.text} protocol={step.protocol} />
            <p className="mt-1.5 text-small text-dim">
              {step.copySentence} {step.limitSentence}
            </p>
          </li>
        ))}
      </ol>
    </Card>
  )
}

function Operations({ detail }: { readonly detail: RequestDetail }): ReactElement {
  return (
    <Card title="What it will do" aside={formatAmount(detail.operationsInAll, 'operation')}>
      <ol className="grid gap-4">
        {detail.operations.map((operation, index) => (
          <li key={index}>
            <p className="flex flex-wrap items-center gap-2">
              <ImpactBadge kind={operation.kind} />
              <code className="[overflow-wrap:anywhere]">
                <Shown text={operation.action} />
              </code>
              {operation.reversible ? null : <span className="text-small font-medium text-bad">not reversible by itself</span>}
            </p>
            <p className="mt-1">
              <Shown text={operation.why} most={1000} />
            </p>
            <div className="mt-1.5 text-small">
              <Facts
                facts={[
                  ['On', <Names key="on" names={operation.resources} />],
                  ['Rows', operation.rows === null ? 'not counted' : operation.rows.toLocaleString('en-US')],
                  ['Size', operation.bytes === null ? 'not measured' : formatBytes(operation.bytes)],
                  ['Tables', <Names key="tables" names={operation.tables} />],
                  ['Depends on it', <Names key="dependants" names={operation.dependants} />],
                ]}
              />
            </div>
          </li>
        ))}
      </ol>
      {detail.operationsInAll > detail.operations.length ? (
        <p className="mt-3 text-small text-warn">
          ⚠ {detail.operationsInAll - detail.operations.length} more are on the approval page.
        </p>
      ) : null}
    </Card>
  )
}

function Names({ names }: { readonly names: readonly string[] }): ReactElement {
  if (names.length === 0) return <span className="text-dim">none</span>
  return (
    <span className="font-mono">
      {names.map((name, index) => (
        <span key={name}>
          {index === 0 ? '' : ', '}
          <Shown text={name} />
        </span>
      ))}
    </span>
  )
}

function Past({ detail }: { readonly detail: RequestDetail }): ReactElement {
  return (
    <Card title="Like it, before">
      {detail.similar.length === 0 ? (
        <p className="text-dim">This agent never asked for this on this upstream.</p>
      ) : (
        <ul className="grid grid-cols-[minmax(0,1fr)] gap-1.5">
          {detail.similar.map((other) => (
            <li key={other.id} className="flex items-center gap-2">
              <StateBadge state={other.state} />
              <Link to="/requests/$id" params={{ id: other.id }} className={`min-w-0 truncate ${linkLook}`}>
                <Shown text={other.headline} />
              </Link>
              <span className="ml-auto shrink-0 text-small text-dim">
                <Ago atMs={other.createdAtMs} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  )
}
