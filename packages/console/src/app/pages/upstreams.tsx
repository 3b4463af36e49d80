import type { ReactElement } from 'react'
import { formatAmount, formatDuration } from '../../time-words.ts'
import { type UpstreamsView, upstreamsShape } from '../../shapes/pages.ts'
import { useAsked } from '../asking.ts'
import { Awaiting } from '../awaiting.tsx'
import { KillButton } from '../kill.tsx'
import { Badge, Card, Empty, EnvironmentBadge, Facts, Page, type Tone } from '../parts.tsx'
import { recoveryFacts } from '../recovery.tsx'
import { Shown } from '../text.tsx'
import { Ago } from '../time.tsx'

type Upstream = UpstreamsView['upstreams'][number]
type Target = UpstreamsView['others'][number]

/** Each system behind the gate: the five controls, what would be lost right now, and how long bringing it back took. */
export default function Upstreams(): ReactElement {
  const asked = useAsked('upstreams', upstreamsShape)
  return (
    <Awaiting asked={asked}>
      {(view) => (
        <Page
          title="Upstreams"
          about="Each system behind the gate: five controls, what would be lost right now, and how long bringing it back took."
        >
          {view.upstreams.length === 0 ? (
            <Card title="Upstreams">
              <Empty title="Nothing is behind the gate">
                <code>sallyport upstream add NAME</code> puts a database or an API behind it, its credential from standard input.
              </Empty>
            </Card>
          ) : (
            <div className="grid items-start gap-4 2xl:grid-cols-[repeat(auto-fit,minmax(40rem,1fr))]">
              {view.upstreams.map((upstream) => (
                <UpstreamCard key={upstream.name} upstream={upstream} />
              ))}
            </div>
          )}
          {view.others.length === 0 ? null : (
            <div className="mt-4 grid items-start gap-4 xl:grid-cols-2 3xl:grid-cols-3">
              {view.others.map((target) => (
                <Card key={target.name} title={target.name} aside={`kept whole, a ${target.kind}`}>
                  <TargetFacts target={target} />
                </Card>
              ))}
            </div>
          )}
        </Page>
      )}
    </Awaiting>
  )
}

const states: Readonly<Record<Upstream['controls'][number]['state'], { readonly sign: string; readonly tone: Tone }>> = {
  holds: { sign: '✓', tone: 'good' },
  partly: { sign: '◐', tone: 'warn' },
  missing: { sign: '✕', tone: 'danger' },
}

function UpstreamCard({ upstream }: { readonly upstream: Upstream }): ReactElement {
  return (
    <section aria-label={upstream.name} className="min-w-0 rounded-lg border border-line bg-card">
      <Head upstream={upstream} />
      <div className="grid gap-4 px-4 py-3 lg:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
        <ul className="grid content-start gap-2" aria-label={`Controls of ${upstream.name}`}>
          {upstream.controls.map(({ name, state, sentence }) => (
            <li key={name} className="grid grid-cols-[4.8rem_1fr] gap-x-3">
              <span>
                <Badge {...states[state]}>{state}</Badge>
              </span>
              <span>
                <span className="font-medium">{name}. </span>
                <span className="text-dim">
                  <Shown text={sentence} most={600} />
                </span>
              </span>
            </li>
          ))}
        </ul>
        <div className="border-line lg:border-l lg:pl-4">
          <h3 className="mb-1.5 font-medium">Recovery</h3>
          {upstream.target === null ? (
            <p className="text-dim">
              It is not kept whole. <code>keep:</code> under this upstream makes copies of all of it, and drills.
            </p>
          ) : (
            <TargetFacts target={upstream.target} />
          )}
          {upstream.continuous.length === 0 ? null : (
            <div className="mt-3 text-small">
              <h3 className="mb-1 font-medium">Continuous</h3>
              <Facts
                facts={upstream.continuous.map(
                  ({ name, value }) => [name, <Shown key={name} text={value} most={160} />] as const,
                )}
              />
            </div>
          )}
        </div>
      </div>
    </section>
  )
}

function Head({ upstream }: { readonly upstream: Upstream }): ReactElement {
  const held = upstream.controls.filter(({ state }) => state === 'holds').length
  return (
    <header className="flex items-center justify-between gap-3 border-b border-line px-4 py-2.5">
      <div className="min-w-0">
        <h2 className="flex flex-wrap items-center gap-2 text-lead font-semibold">
          <Shown text={upstream.name} most={80} />
          <EnvironmentBadge environment={upstream.environment} />
        </h2>
        <p className="text-small text-dim">
          {upstream.connector === upstream.protocol ? upstream.protocol : `${upstream.connector} by ${upstream.protocol}`} ·{' '}
          {formatAmount(upstream.sessions, 'open session')} · {held} of {upstream.controls.length} controls hold
          {upstream.hosts.length === 0 ? null : (
            <>
              {' '}
              · <Shown text={upstream.hosts.join(', ')} />
            </>
          )}
        </p>
      </div>
      <KillButton
        label={`Kill upstream ${upstream.name}`}
        killing={{ scope: { kind: 'upstream', id: upstream.name }, name: `everything on ${upstream.name}` }}
      >
        Kill
      </KillButton>
    </header>
  )
}

function TargetFacts({ target }: { readonly target: Target }): ReactElement {
  const { newestAtMs, copyEveryMs, drillEveryMs } = target
  return (
    <Facts
      facts={[
        ...recoveryFacts(target),
        ['Newest copy', newestAtMs === null ? 'none yet' : <Ago key="newest" atMs={newestAtMs} />],
        ['Copied', copyEveryMs === null ? 'when asked' : `every ${formatDuration(copyEveryMs)}`],
        ['Drilled', drillEveryMs === null ? 'when asked' : `every ${formatDuration(drillEveryMs)}`],
      ]}
    />
  )
}
