import {
  coversQuestion,
  digestJson,
  SallyportError,
  type Clock,
  type Connector,
  type Log,
  type Question,
  type ResolvedOperation,
  type Snapshot,
  type Upstream,
  type Vault,
} from '@sallyport/core'

export interface CopyPorts {
  readonly clock: Clock
  readonly log: Log
  readonly vault: Vault
  readonly retainMs: number
  /** The upstream of that name, with its connector and a way in that ends when `work` does: so do the locks that a copy takes. */
  readonly withUpstream: <Result>(
    name: string,
    work: (upstream: Upstream, connector: Connector) => Promise<Result>,
  ) => Promise<Result>
}

/** A thing of an upstream: `volume` and its id. */
export interface CopiedThing {
  readonly upstream: string
  readonly type: string
  readonly id: string
}

/**
 * Makes a proven copy of a thing now, as it would be made before that thing is destroyed, and destroys nothing: so that a copy is there before
 * anybody needs it, and so that people know how long one takes. One at a time.
 */
export function openCopies(ports: CopyPorts): (thing: CopiedThing, by: string) => Promise<Snapshot> {
  let turn: Promise<unknown> = Promise.resolve()
  return (thing, by) => {
    const mine = turn.then(() => copy(ports, thing, by))
    turn = mine.catch(() => undefined)
    return mine
  }
}

async function copy(ports: CopyPorts, { upstream: name, type, id }: CopiedThing, by: string): Promise<Snapshot> {
  const { clock, log, vault, retainMs } = ports
  return ports.withUpstream(name, async (upstream, connector) => {
    const losing = connector.losing?.(type, id) ?? null
    if (losing === null || connector.resolve === undefined || connector.snapshot === undefined) throw noCopy(connector, type)
    const resolved = await connector.resolve([losing], upstream)
    checkPossible(resolved)
    const make = connector.snapshot.bind(connector)
    const digest = digestJson({ v: 1, purpose: 'sallyport copy', upstream: name, type, id })
    const about = { upstream: name, upstreamIdentity: upstream.identity, digest, retainMs }
    try {
      const snapshot = await vault.seal(about, (seal) => make(resolved, upstream, seal))
      const { rows, bytes, checksums, retainUntilMs, kind } = snapshot
      const data = { snapshot: snapshot.id, digest, kind, rows, bytes, checksums: { ...checksums }, retainUntilMs, by }
      await log.append({ type: 'snapshot.sealed', atMs: clock.nowMs(), data })
      return snapshot
    } catch (error) {
      const code = error instanceof SallyportError ? error.code : 'copy_failed'
      await log.append({ type: 'snapshot.failed', atMs: clock.nowMs(), data: { digest, code, by } })
      throw error
    }
  })
}

function checkPossible(resolved: readonly ResolvedOperation[]): void {
  for (const { copy: plan } of resolved) {
    if (plan.kind === 'tables') continue
    const why =
      plan.kind === 'impossible'
        ? plan.reason
        : plan.kind === 'moved'
          ? 'it is moved away and not copied'
          : 'nothing of it would be lost'
    const remedy = plan.kind === 'impossible' ? plan.remedy : 'Name something that holds data.'
    throw new SallyportError('no_copy_possible', `No copy can be made: ${why}.`, 'Nothing was copied.', remedy)
  }
}

function noCopy(connector: Connector, type: string): SallyportError {
  return new SallyportError(
    'not_supported',
    `Connector ${connector.id} copies no ${JSON.stringify(type.slice(0, 64))} by itself.`,
    'Nothing was copied.',
    'Name a volume of a cloud upstream: sallyport copy UPSTREAM volume:ID',
  )
}

/** The newest snapshot that holds all that this question would lose. */
export function findNewest(snapshots: readonly Snapshot[], question: Question): Snapshot | null {
  const covering = snapshots.filter((snapshot) => coversQuestion(snapshot, question))
  return covering.reduce<Snapshot | null>(
    (newest, snapshot) => (newest === null || snapshot.madeAtMs > newest.madeAtMs ? snapshot : newest),
    null,
  )
}
