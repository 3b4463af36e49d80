import {
  SallyportError,
  sha256Hex,
  visibleLine,
  type CopyPlan,
  type Operation,
  type ResolvedOperation,
  type Scope,
  type Upstream,
} from '@sallyport/core'
import { readContent, type VolumeContent } from './base-backup-source.ts'
import { askVolume, volumeDelete, volumeOf, type VolumeFacts } from './resolve-volume.ts'

/** Where Railway's public API takes GraphQL. */
const graphqlPath = '/graphql/v2'

/**
 * Ids → what they are. A volume's environment is the upstream's, from configuration (DESIGN §2); what the API calls it is only shown. What lies on
 * it is asked of the database that configuration ties to its id.
 */
export async function resolve(operations: readonly Operation[], upstream: Upstream): Promise<readonly ResolvedOperation[]> {
  const out: ResolvedOperation[] = []
  for (const operation of operations) {
    out.push(
      operation.action === volumeDelete
        ? await resolveVolume(operation, upstream)
        : { ...operation, copy: planWithoutCopy(operation) },
    )
  }
  return out
}

/** A connector that can copy volumes can copy nothing else. */
function planWithoutCopy({ impact, action }: Operation): CopyPlan {
  if (impact.kind !== 'destroy' && impact.kind !== 'unknown') return { kind: 'none' }
  if (impact.kind === 'destroy' && impact.reversible) return { kind: 'none' }
  return {
    kind: 'impossible',
    reason: `the gate knows no copy of what ${action} destroys`,
    remedy: 'Do it in the provider’s own console, as a person, once you have a copy.',
  }
}

async function resolveVolume(given: Operation, upstream: Upstream): Promise<ResolvedOperation> {
  // A copy in the vault brings the rows back, and not the volume, its name, its mounts or the provider's own backups on it (DESIGN §5).
  const operation: Operation = {
    ...given,
    impact: { ...given.impact, kind: 'destroy', reversible: false },
    context: { ...given.context, irreversibleDespiteCopy: true },
  }
  const volume = volumeOf(operation)
  if (volume === null) {
    const reason = 'the request does not name one volume by its id'
    return { ...operation, copy: { kind: 'impossible', reason, remedy: 'Name one volume by its id.' } }
  }
  if (upstream.access.kind !== 'http') {
    const reason = `there is no way to ask ${upstream.name} what lies on this volume`
    return { ...operation, copy: { kind: 'impossible', reason, remedy: 'Ask through a running gate.' } }
  }
  const facts = await askVolume(upstream.access, volume, graphqlPath).catch(() => null)
  const tied = await upstream.access.tied('volume', volume)
  const content = tied === null ? null : await look(tied)
  const name = facts === null ? volume : visibleLine(`${facts.name} (${volume})`).slice(0, 200)
  return {
    ...operation,
    why: sayWhat(operation.why, volume, upstream, tied, facts, content),
    resources: [
      { type: 'volume', name, identity: volume, schemaHash: sha256Hex(JSON.stringify([volume, tied?.identity ?? null])) },
    ],
    impact: { ...operation.impact, scope: scopeOf(facts, content) },
    copy: planCopy(volume, content),
  }
}

async function look(tied: Upstream): Promise<VolumeContent> {
  try {
    return await readContent(tied)
  } catch (error) {
    if (error instanceof SallyportError) throw error
    throw new SallyportError(
      'upstream_failed',
      `What lies on the volume could not be looked up: ${error instanceof Error ? error.message.slice(0, 300) : 'no reason given'}.`,
      'Nothing was deleted or copied.',
      `See that the protect credential of "${tied.name}" works, then ask again.`,
      { cause: error },
    )
  }
}

function planCopy(volume: string, content: VolumeContent | null): CopyPlan {
  if (content === null) {
    return {
      kind: 'impossible',
      reason: `nothing says which database lies on volume ${volume}`,
      remedy: 'Tie this volume to its database in sallyport.yaml.',
    }
  }
  if (content.obstacle !== null) return { kind: 'impossible', ...content.obstacle }
  return { kind: 'tables', tables: content.tables.map(({ label }) => label), bytesEstimate: content.bytes }
}

function scopeOf(facts: VolumeFacts | null, content: VolumeContent | null): Scope {
  const mounts = (facts?.mounts ?? []).map(({ environment, service, path, megabytes }) =>
    visibleLine(`mounted at ${path} by ${service} in ${environment}, ${megabytes.toLocaleString('en-US')} MB`).slice(0, 200),
  )
  if (content === null) return { exact: false, dependants: mounts }
  return {
    rows: content.rows,
    bytes: content.bytes,
    tables: content.tables.map(({ label }) => label),
    dependants: [...mounts, ...content.otherDatabases.map((database) => visibleLine(`database ${database}`).slice(0, 200))],
    exact: content.exact,
  }
}

/** The sentence a person reads: "this volume carries production's database, 184,000 rows". */
function sayWhat(
  why: string,
  volume: string,
  upstream: Upstream,
  tied: Upstream | null,
  facts: VolumeFacts | null,
  content: VolumeContent | null,
): string {
  const parts = [why]
  if (tied !== null && content !== null) {
    const rows = `${content.exact ? '' : 'about '}${content.rows.toLocaleString('en-US')} rows`
    parts.push(`this volume carries ${tied.environment}'s database ${content.database} ("${tied.name}"), ${rows}`)
    const others = content.otherDatabases.length
    if (others > 0) parts.push(`${others} other ${others === 1 ? 'database lies' : 'databases lie'} on it: copied, not compared`)
  } else parts.push(`nothing says what lies on volume ${volume}`)
  parts.push('the provider’s own backups of the volume go with it')
  if (facts === null) parts.push(`${upstream.name} did not say what it calls this volume`)
  return parts.map(visibleLine).join('; ')
}
