import { lazy, type ReactElement, Suspense } from 'react'
import { formatAmount, formatCount, formatDuration } from '../../time-words.ts'
import { type PolicyView, policyShape } from '../../shapes/policy.ts'
import { useAsked } from '../asking.ts'
import { Awaiting } from '../awaiting.tsx'
import { Badge, Button, Card, Empty, Facts, Notice, Page } from '../parts.tsx'
import { Shown } from '../text.tsx'
import { Ago } from '../time.tsx'
import { Expectations } from '../trial.tsx'

const PolicyEditor = lazy(() => import('../policy-editor.tsx'))

const needs: Readonly<Record<string, string>> = {
  snapshot: 'a proven copy',
  person: 'one person',
  people: 'two people, or one and a delay',
  delay: 'a delay',
}

/** What decides, in words. */
export default function Policy(): ReactElement {
  const asked = useAsked('policy', policyShape)
  return <Awaiting asked={asked}>{(view) => <Rules view={view} />}</Awaiting>
}

function Rules({ view }: { readonly view: PolicyView }): ReactElement {
  return (
    <Page
      title="Policy"
      about="Guards forbid, unless what they ask for is there. No permission overrides one."
      actions={<Button onClick={() => document.querySelector<HTMLElement>('#policy-text')?.focus()}>Change it</Button>}
    >
      {view.proposal === null ? null : (
        <Notice tone="warn">
          {view.proposal.by === null ? 'The file gives' : `${view.proposal.by} proposed`} more than what is in force (
          {formatAmount(view.proposal.widenings.length, 'line')}, <Ago atMs={view.proposal.proposedAtMs} />
          ).{' '}
          <a className="underline" href="/configuration">
            People decide about it
          </a>
          .
        </Notice>
      )}
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_24rem] 3xl:grid-cols-[minmax(0,1fr)_36rem]">
        <Card flush title="Guards" aside={formatAmount(view.guards.length, 'guard')}>
          {view.guards.length === 0 ? (
            <Empty title="No guard is in force">This gate lets through whatever is in scope.</Empty>
          ) : (
            <ul className="divide-y divide-line">
              {view.guards.map((guard) => {
                const asked = view.asked.find(({ id }) => id === guard.id)?.count ?? 0
                return (
                  <li key={guard.id} className="px-4 py-2.5 2xl:grid 2xl:grid-cols-[minmax(0,1fr)_minmax(0,30rem)] 2xl:gap-x-6">
                    <p>
                      <Shown text={guard.why} most={1000} />
                    </p>
                    <p className="flex flex-wrap items-center gap-x-3 gap-y-1 text-small text-dim max-2xl:mt-1">
                      <Badge sign={guard.needs === null ? '✕' : '◷'} tone={guard.needs === null ? 'danger' : 'calm'}>
                        {guard.needs === null ? 'nothing satisfies it' : `needs ${needs[guard.needs] ?? guard.needs}`}
                      </Badge>
                      <code>
                        <Shown text={guard.id} />
                      </code>
                      {asked === 0 ? null : <span>asked in {formatAmount(asked, 'request')}</span>}
                    </p>
                  </li>
                )
              })}
            </ul>
          )}
        </Card>
        <InForce view={view} />
      </div>
      <h2 className="mt-8 mb-3 text-lead font-semibold">Change it</h2>
      <Suspense fallback={<p className="text-dim">Asking the gate…</p>}>
        <PolicyEditor path={view.path} />
      </Suspense>
    </Page>
  )
}

function InForce({ view }: { readonly view: PolicyView }): ReactElement {
  return (
    <div className="grid min-w-0 content-start gap-4">
      <Card title="In force">
        <Facts
          facts={[
            ['Mode', view.mode === 'team' ? 'team: nobody approves their own agent’s request' : 'solo: four-eyes is off'],
            ['Rows without a prompt', `${formatCount(view.rowsWithoutPrompt)}, when they can be put back`],
            ['Cool-off', view.coolOffMs === 0 ? 'none' : formatDuration(view.coolOffMs)],
            ['A question waits', formatDuration(view.requestMs)],
            ['Copies are kept', formatDuration(view.retainMs)],
            [
              'Policy',
              <code key="hash" className="[overflow-wrap:anywhere]">
                {view.hash}
              </code>,
            ],
          ]}
        />
      </Card>
      {view.expectations.length === 0 ? (
        <Card title="Expected">
          <p className="text-dim">
            Nothing is. A line under <code>expect:</code>, such as <code>coder asks destroy on orders-db</code>, is a test that
            every change has to pass before it can be proposed.
          </p>
        </Card>
      ) : (
        <Expectations expectations={view.expectations} title="Expected" />
      )}
      {view.acceptedRisks.length === 0 ? null : (
        <Card title="Risks that were accepted">
          <ul className="list-disc pl-5">
            {view.acceptedRisks.map((risk) => (
              <li key={risk}>
                <Shown text={risk} />
              </li>
            ))}
          </ul>
        </Card>
      )}
    </div>
  )
}
