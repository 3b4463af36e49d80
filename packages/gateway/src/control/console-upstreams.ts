import type { UpstreamsView } from '@sallyport/console'
import type { RecoveryTarget } from '@sallyport/core'
import type { UpstreamOverview } from './overview.ts'
import type { Site } from './site.ts'

type ShownUpstream = UpstreamsView['upstreams'][number]
type ShownControl = ShownUpstream['controls'][number]
type ShownTarget = NonNullable<ShownUpstream['target']>

/** How each upstream stands: the five controls, what would be lost right now, and how long bringing it back took. */
export async function viewUpstreams({ ports }: Site): Promise<UpstreamsView> {
  const { control, overview, clock } = ports
  const [targets, copies, sessions] = await Promise.all([control.keeping.targets(), control.snapshots(), control.sessions()])
  const continuous = control.continuous?.() ?? []
  const upstreams = overview.upstreams()
  return {
    nowMs: clock.nowMs(),
    upstreams: upstreams.map((upstream) => {
      const target = targets.find(({ name }) => name === upstream.name) ?? null
      const newestAtMs = copies.reduce<number | null>(
        (newest, { upstream: name, madeAtMs }) => (name === upstream.name ? Math.max(newest ?? 0, madeAtMs) : newest),
        null,
      )
      const status = continuous.find((one) => one['upstream'] === upstream.name)
      return {
        name: upstream.name,
        protocol: upstream.protocol,
        connector: upstream.connector,
        environment: upstream.environment,
        hosts: upstream.hosts,
        sessions: sessions.filter((session) => session.upstream === upstream.name).length,
        controls: controlsOf(upstream, { target, newestAtMs, mode: control.posture().mode }),
        target: target === null ? null : shownTargetOf(target),
        continuous: Object.entries(status ?? {}).map(([name, value]) => ({
          name,
          value: typeof value === 'string' ? value : JSON.stringify(value),
        })),
      }
    }),
    others: targets.filter(({ name }) => !upstreams.some((upstream) => upstream.name === name)).map(shownTargetOf),
  }
}

interface Standing {
  readonly target: RecoveryTarget | null
  readonly newestAtMs: number | null
  readonly mode: 'solo' | 'team'
}

/** The controls whose want makes an incident: who holds the credential, who is asked, where copies lie, who else looks, and whether a restore was tried. */
function controlsOf(upstream: UpstreamOverview, { target, newestAtMs, mode }: Standing): readonly ShownControl[] {
  const isProduction = upstream.environment === 'production'
  const drill = target?.lastDrill ?? null
  return [
    upstream.protectsApart
      ? {
          name: 'Credential',
          state: 'holds',
          sentence: 'Agents have handles only; what copies and stops goes by a credential of its own.',
        }
      : {
          name: 'Credential',
          state: 'partly',
          sentence:
            'Agents have handles only, but copies go by the same credential as their statements: give it another “protect”.',
        },
    isProduction
      ? {
          name: 'Confirmation',
          state: 'holds',
          sentence: 'Production: what destroys asks first, and so does what cannot be read.',
        }
      : {
          name: 'Confirmation',
          state: 'partly',
          sentence: `${upstream.environment}: runs within scope and is on the log; nothing asks first.`,
        },
    copyControl(upstream, newestAtMs),
    mode === 'team'
      ? { name: 'People', state: 'holds', sentence: 'Nobody approves their own agent’s request.' }
      : {
          name: 'People',
          state: 'partly',
          sentence: 'Solo mode: the owner may approve after a cool-off. A second person would make four eyes.',
        },
    drill === null
      ? {
          name: 'Restore tried',
          state: 'missing',
          sentence: 'No restore of it was ever tried here. Add “keep:” to it and run a drill.',
        }
      : drill.passed
        ? { name: 'Restore tried', state: 'holds', sentence: 'The last drill restored a copy and compared it.' }
        : { name: 'Restore tried', state: 'missing', sentence: `The last drill failed: ${drill.why.slice(0, 300)}` },
  ]
}

function copyControl(upstream: UpstreamOverview, newestAtMs: number | null): ShownControl {
  const name = 'Copies'
  if (upstream.isContinuous)
    return { name, state: 'holds', sentence: 'Every change flows into the vault, out of reach of who destroys.' }
  return newestAtMs === null
    ? {
        name,
        state: 'partly',
        sentence: 'A copy is made before something is destroyed; none was needed yet. “continuous:” would keep every moment.',
      }
    : { name, state: 'holds', sentence: 'Proven copies lie in the vault, out of reach of who destroys.' }
}

function shownTargetOf(target: RecoveryTarget): ShownTarget {
  const { name, kind, newestCopy, wouldLoseMs, restoreTookMs, lastDrill, copyEveryMs, drillEveryMs } = target
  return {
    name,
    kind,
    newestAtMs: newestCopy?.madeAtMs ?? null,
    wouldLoseMs,
    restoreTookMs,
    drill: lastDrill === null ? null : { passed: lastDrill.passed, atMs: lastDrill.atMs, why: lastDrill.why.slice(0, 1000) },
    copyEveryMs,
    drillEveryMs,
  }
}
