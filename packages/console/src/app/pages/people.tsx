import type { ReactElement } from 'react'
import { formatAmount, formatDuration } from '../../time-words.ts'
import { type PeopleView, peopleShape } from '../../shapes/pages.ts'
import { useAsked } from '../asking.ts'
import { Awaiting } from '../awaiting.tsx'
import { Badge, Card, Empty, Notice, Page } from '../parts.tsx'
import { Shown } from '../text.tsx'
import { Ago } from '../time.tsx'

/** Who decides here, for whom they answer, and how they decide. What takes a passkey is done on pages that the gate renders itself. */
export default function People(): ReactElement {
  const asked = useAsked('people', peopleShape)
  return <Awaiting asked={asked}>{(view) => <Enrolled view={view} />}</Awaiting>
}

function Enrolled({ view }: { readonly view: PeopleView }): ReactElement {
  return (
    <Page
      title="People"
      about={
        view.mode === 'team'
          ? 'Team mode: nobody approves their own agent’s request.'
          : 'Solo mode: four-eyes is off. A second person turns it on.'
      }
      actions={
        <>
          <a
            className="inline-flex h-8 items-center rounded-md border border-line bg-card px-3 font-medium hover:bg-soft"
            href="/people/me"
          >
            Your passkeys
          </a>
          <a
            className="inline-flex h-8 items-center rounded-md bg-ink px-3 font-medium text-ground hover:opacity-90"
            href="/people"
          >
            Invite or remove
          </a>
        </>
      }
    >
      {view.unknownOwners.map(({ owner, agents }) => (
        <Notice key={owner} tone="warn">
          <Shown text={owner} most={80} /> owns <Shown text={agents.join(', ')} />, and nobody is enrolled under that name: nobody
          can approve what these agents ask.
        </Notice>
      ))}
      {view.invitations === 0 ? null : (
        <p className="mb-4">
          {formatAmount(view.invitations, 'invitation')} open.{' '}
          <a className="text-accent underline" href="/people">
            See them
          </a>
        </p>
      )}
      <Card flush title="Enrolled" aside={formatAmount(view.people.length, 'person', 'people')}>
        {view.people.length === 0 ? (
          <Empty title="Nobody is enrolled">The gate prints a one-time link at its start.</Empty>
        ) : (
          <ul className="divide-y divide-line">
            {view.people.map((person) => (
              <PersonRow key={person.name} person={person} isMe={person.name === view.me} />
            ))}
          </ul>
        )}
      </Card>
      <OnCall view={view} />
      <Removed view={view} />
    </Page>
  )
}

function PersonRow({ person, isMe }: { readonly person: PeopleView['people'][number]; readonly isMe: boolean }): ReactElement {
  return (
    <li className="grid gap-x-6 gap-y-1 px-4 py-3 md:grid-cols-[minmax(0,1fr)_minmax(0,1fr)_auto]">
      <div className="min-w-0">
        <p className="flex flex-wrap items-center gap-2 font-medium">
          <Shown text={person.name} most={80} />
          {isMe ? (
            <Badge sign="●" tone="calm">
              you
            </Badge>
          ) : null}
          {person.passkeys === 1 ? (
            <Badge sign="⚠" tone="warn">
              one passkey only
            </Badge>
          ) : null}
        </p>
        <p className="text-small text-dim">
          <Shown text={person.admission} most={200} /> · <Ago atMs={person.enrolledAtMs} /> ·{' '}
          {formatAmount(person.passkeys, 'passkey')}
        </p>
      </div>
      <p className="min-w-0 text-small text-dim">
        {person.agents.length === 0 ? (
          'Owns no agent'
        ) : (
          <>
            Owns <Shown text={person.agents.join(', ')} />
          </>
        )}
      </p>
      <p className="text-small whitespace-nowrap text-dim tabular-nums">
        ✓ {person.approved} approved · ✕ {person.rejected} rejected
        {person.medianWaitMs === null ? '' : ` · median wait ${formatDuration(person.medianWaitMs)}`}
      </p>
    </li>
  )
}

function OnCall({ view }: { readonly view: PeopleView }): ReactElement | null {
  if (view.onCall.length === 0) return null
  return (
    <div className="mt-4">
      <Card title="On call">
        <ul className="grid gap-1">
          {view.onCall.map(({ name, zone, person, untilMs, next }) => (
            <li key={name}>
              <Shown text={name} most={63} />:{' '}
              {person === null ? (
                'nobody yet, so everybody of it'
              ) : (
                <span className="font-medium">
                  <Shown text={person} most={80} />
                </span>
              )}
              {untilMs === null ? null : (
                <span className="text-dim">
                  , for {formatDuration(Math.max(0, untilMs - view.nowMs))}; then <Shown text={next ?? 'nobody'} most={80} />
                </span>
              )}{' '}
              <span className="text-small text-dim">({zone})</span>
            </li>
          ))}
        </ul>
      </Card>
    </div>
  )
}

function Removed({ view }: { readonly view: PeopleView }): ReactElement | null {
  if (view.removed.length === 0) return null
  return (
    <div className="mt-4">
      <Card title="Removed">
        <ul className="grid gap-1 text-small text-dim">
          {view.removed.map(({ name, by, atMs }) => (
            <li key={name}>
              <Shown text={name} most={80} />, by <Shown text={by} most={80} />, <Ago atMs={atMs} />
            </li>
          ))}
        </ul>
      </Card>
    </div>
  )
}
