import { useNavigate } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import { formatAmount, formatDuration } from '../../time-words.ts'
import { type AgentsView, agentsShape } from '../../shapes/pages.ts'
import { useAsked } from '../asking.ts'
import { Awaiting } from '../awaiting.tsx'
import { KillButton } from '../kill.tsx'
import { offerChange } from '../offered-change.ts'
import { Button, Card, Empty, Facts, ImpactBadge, Page } from '../parts.tsx'
import { Shown } from '../text.tsx'
import { Ago, Until } from '../time.tsx'

type Agent = AgentsView['agents'][number]

/** What each agent may do, in words, and what it really did of it. */
export default function Agents(): ReactElement {
  const asked = useAsked('agents', agentsShape)
  return (
    <Awaiting asked={asked}>
      {(view) => (
        <Page
          title="Agents"
          about={
            view.countedFromMs === null ? (
              'What they may do, and what they really use of it. Nothing is on the log yet.'
            ) : (
              <>
                What they may do, and what they really use of it, counted from <Ago atMs={view.countedFromMs} />.
              </>
            )
          }
        >
          {view.agents.length === 0 ? (
            <Card title="Agents">
              <Empty title="No agent is configured">
                Add one under <code>agents:</code> in sallyport.yaml: its owner, and what it may do in words such as{' '}
                <code>read orders-db</code>.
              </Empty>
            </Card>
          ) : (
            <div className="grid items-start gap-4 xl:grid-cols-[repeat(auto-fit,minmax(32rem,1fr))]">
              {view.agents.map((agent) => (
                <AgentCard key={agent.name} agent={agent} />
              ))}
            </div>
          )}
        </Page>
      )}
    </Awaiting>
  )
}

function AgentCard({ agent }: { readonly agent: Agent }): ReactElement {
  return (
    <section aria-label={agent.name} className="min-w-0 rounded-lg border border-line bg-card">
      <header className="flex items-center justify-between gap-3 border-b border-line px-4 py-2.5">
        <div className="min-w-0">
          <h2 className="text-lead font-semibold">
            <Shown text={agent.name} most={80} />
          </h2>
          <p className="text-small text-dim">
            for <Shown text={agent.owner} most={80} /> · {formatAmount(agent.sessions, 'open session')}
          </p>
        </div>
        <KillButton
          label={`Kill agent ${agent.name}`}
          killing={{ scope: { kind: 'agent', id: agent.name }, name: `agent ${agent.name}` }}
        >
          Kill
        </KillButton>
      </header>
      <div className="grid grid-cols-[minmax(0,1fr)] gap-4 px-4 py-3">
        <ScopeList agent={agent} />
        <UsedList agent={agent} />
        <HandleList agent={agent} />
      </div>
    </section>
  )
}

function ScopeList({ agent }: { readonly agent: Agent }): ReactElement {
  const unused = agent.scopes.filter(({ uses }) => uses === 0)
  return (
    <div>
      <h3 className="mb-1.5 font-medium">Scope</h3>
      {agent.scopes.length === 0 ? (
        <p className="text-dim">Nothing: it can open a session and is refused whatever it asks.</p>
      ) : (
        <ul className="grid gap-1.5">
          {agent.scopes.map((scope) => (
            <li key={scope.line} className="flex flex-wrap items-baseline justify-between gap-x-3">
              <span>
                <Shown text={scope.sentence} /> <code className="text-dim">{scope.line}</code>
              </span>
              <span className={`text-small ${scope.uses === 0 ? 'text-warn' : 'text-dim'}`}>
                {scope.lastAtMs === null ? (
                  '○ not used'
                ) : (
                  <>
                    ● {formatAmount(scope.uses, 'use')}, <Ago atMs={scope.lastAtMs} />
                  </>
                )}
              </span>
            </li>
          ))}
        </ul>
      )}
      {unused.length === 0 ? null : <Unused agent={agent} unused={unused.map(({ line }) => line)} />}
    </div>
  )
}

/** What waits for people, or was refused by them, did not run. */
function timesOf({ ran, asked }: Agent['used'][number]): string {
  const parts = [
    ran > 0 || asked === 0 ? `ran ${ran.toLocaleString('en-US')} ×` : '',
    asked > 0 ? `asked ${asked.toLocaleString('en-US')} ×` : '',
  ]
  return parts.filter((part) => part !== '').join(', ')
}

function UsedList({ agent }: { readonly agent: Agent }): ReactElement {
  return (
    <div>
      <h3 className="mb-1.5 font-medium">Really used</h3>
      {agent.used.length === 0 ? (
        <p className="text-dim">Nothing since the counting began.</p>
      ) : (
        <ul className="relative max-h-72 overflow-y-auto" tabIndex={0} aria-label={`Used by ${agent.name}`}>
          {agent.used.map((use) => (
            <li key={`${use.kind} ${use.action} ${use.upstream ?? ''}`} className="flex items-center gap-x-2 py-0.5 text-small">
              <ImpactBadge kind={use.kind} />
              <code className="min-w-0 truncate" title={use.action}>
                <Shown text={use.action} most={100} />
              </code>
              <span className="min-w-0 truncate text-dim max-sm:hidden">
                {use.upstream === null ? '' : <Shown text={use.upstream} most={60} />}
              </span>
              <span className="ml-auto whitespace-nowrap text-dim tabular-nums">
                {timesOf(use)} · <Ago atMs={use.lastAtMs} />
              </span>
            </li>
          ))}
        </ul>
      )}
      {agent.usedInAll > agent.used.length ? (
        <p className="text-small text-dim">and {agent.usedInAll - agent.used.length} kinds more, on the log.</p>
      ) : null}
    </div>
  )
}

function HandleList({ agent }: { readonly agent: Agent }): ReactElement {
  return (
    <div>
      <h3 className="mb-1.5 font-medium">Handles in force</h3>
      {agent.handles.length === 0 ? (
        <p className="text-dim">
          None. <code>sallyport handle issue {agent.name}</code> makes one, good for {formatDuration(agent.handleMs)}.
        </p>
      ) : (
        <ul className="grid gap-1 text-small">
          {agent.handles.map((handle) => (
            <li key={handle.id} className="flex flex-wrap justify-between gap-x-3">
              <code title={handle.id}>{handle.id.slice(0, 16)}</code>
              {handle.narrowedTo === null ? null : (
                <span className="text-dim">
                  narrowed to <Shown text={handle.narrowedTo} />
                </span>
              )}
              <span className="text-dim">
                ends in <Until atMs={handle.expiresAtMs} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </div>
  )
}

/** What is not used is offered for removal: as a text that is rehearsed first. */
function Unused({ agent, unused }: { readonly agent: Agent; readonly unused: readonly string[] }): ReactElement {
  const navigate = useNavigate()
  const kept = agent.scopes.map(({ line }) => line).filter((line) => !unused.includes(line))
  const offer = (): void => {
    offerChange({ kind: 'remove_scope', agent: agent.name, lines: unused })
    void navigate({ to: '/policy' })
  }
  return (
    <details className="mt-3 rounded-md border border-line bg-soft px-3 py-2">
      <summary className="cursor-pointer rounded font-medium">
        Take away {formatAmount(unused.length, 'line')} that {unused.length === 1 ? 'was' : 'were'} not used
      </summary>
      <div className="mt-2">
        <Facts
          facts={[
            ['Not used', unused.join(', ')],
            ['Left', kept.length === 0 ? 'nothing' : kept.join(', ')],
          ]}
        />
      </div>
      <div className="mt-2 flex flex-wrap items-center gap-x-3 gap-y-1 text-small text-dim">
        <Button small onClick={offer}>
          See what that changes
        </Button>
        For a run that needs less still: <code>sallyport handle narrow</code>.
      </div>
    </details>
  )
}
