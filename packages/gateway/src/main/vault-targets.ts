import {
  SallyportError,
  type Clock,
  type RecoveryTarget,
  type Snapshot,
  type VaultTarget,
  type VaultTargets,
} from '@sallyport/core'
import type { ContinuousStatus } from '../protection/index.ts'
import type { VaultHealth } from '../vault/vault-client.ts'

interface TargetPorts {
  readonly clock: Pick<Clock, 'nowMs'>
  readonly vault: { health(): Promise<VaultHealth>; list(): Promise<readonly Snapshot[]> }
  readonly kept: () => Promise<readonly RecoveryTarget[]>
  readonly streams: () => readonly ContinuousStatus[]
}

/** What is protected and what it would cost to lose it. A vault that does not answer is said, and nothing is called proven then. */
export async function readVaultTargets({ clock, vault, kept, streams }: TargetPorts): Promise<VaultTargets> {
  const atMs = clock.nowMs()
  try {
    const [health, snapshots, things] = await Promise.all([vault.health(), vault.list(), kept()])
    const held = new Set(health.held.map(({ id }) => id))
    const known = new Map(snapshots.map((snapshot) => [snapshot.id, snapshot]))
    const targets = things.map((thing) =>
      describeTarget(
        thing,
        streams().find(({ upstream }) => upstream === thing.name),
        snapshots,
        held,
        atMs,
      ),
    )
    const { storage, wal, freeBytes } = health
    return {
      atMs,
      targets,
      storage: storage === null ? null : addWal(storage, wal, freeBytes),
      holds: health.held.map(({ id, reason }) => ({ snapshot: id, upstream: known.get(id)?.upstream ?? null, reason })),
      worth: health.worth,
      problem: health.unready,
    }
  } catch (error) {
    const problem = error instanceof SallyportError ? error.message : 'The vault could not be asked.'
    return { atMs, targets: [], storage: null, holds: [], worth: '', problem }
  }
}

function describeTarget(
  thing: RecoveryTarget,
  stream: ContinuousStatus | undefined,
  snapshots: readonly Snapshot[],
  held: ReadonlySet<string>,
  atMs: number,
): VaultTarget {
  const own = snapshots.filter(({ upstream }) => upstream === thing.name)
  const byId = new Map(own.map((snapshot) => [snapshot.id, snapshot]))
  const streamLoses = stream === undefined ? null : loseByStream(stream, atMs)
  const isStream = streamLoses !== null && (thing.wouldLoseMs === null || streamLoses <= thing.wouldLoseMs)
  const newest = byId.get((isStream ? stream?.base?.snapshot : thing.newestCopy?.snapshot) ?? '')
  return {
    name: thing.name,
    kind: thing.kind,
    by: isStream ? 'stream' : thing.newestCopy === null ? null : 'copy',
    newestCopy:
      newest === undefined ? null : { snapshot: newest.id, madeAtMs: newest.madeAtMs, retainUntilMs: newest.retainUntilMs },
    wouldLoseMs: isStream ? streamLoses : thing.wouldLoseMs,
    restoreTookMs: isStream ? (stream?.restoreTookMs ?? null) : thing.restoreTookMs,
    lastDrill: thing.lastDrill,
    drilled: thing.drilled,
    stream: stream === undefined ? null : describeStream(stream),
    copies: own.length,
    held: own.filter(({ id }) => held.has(id)).length,
  }
}

/** Null: nothing can be restored from it, or nobody has shown that it can (DESIGN §2: then it is no restore point). */
function loseByStream({ state, base, provenAtMs, durableAtMs, behindBytes }: ContinuousStatus, atMs: number): number | null {
  if (base === null || provenAtMs === null || durableAtMs === null) return null
  return state === 'streaming' && behindBytes === 0 ? 0 : Math.max(0, atMs - durableAtMs)
}

function describeStream({ state, why, behindBytes, durableAtMs, provenAtMs }: ContinuousStatus): VaultTarget['stream'] {
  return { state, why, behindBytes, durableAtMs, provenAtMs }
}

function addWal(
  storage: NonNullable<VaultHealth['storage']>,
  wal: VaultHealth['wal'],
  freeBytes: number,
): NonNullable<VaultTargets['storage']> {
  return {
    bytes: storage.bytes,
    walBytes: wal?.storedBytes ?? 0,
    addedBytesPerDay: storage.addedBytesPerDay + (wal?.addedBytesPerDay ?? 0),
    bytesIn30Days: storage.bytesIn30Days + (wal?.bytesIn30Days ?? 0),
    quotaBytes: storage.quotaBytes,
    freeBytes,
  }
}
