import {
  SallyportError,
  type Clock,
  type Connector,
  type Log,
  type Randomness,
  type Restored,
  type Upstream,
  type Vault,
} from '@sallyport/core'

export interface UndoPorts {
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
  readonly vault: Vault
  /** The upstream a snapshot came from, with its connector and a way in that ends when `work` does. */
  readonly withUpstream: <Result>(
    name: string,
    work: (upstream: Upstream, connector: Connector) => Promise<Result>,
  ) => Promise<Result>
}

/**
 * Puts a snapshot back in place. Its intent is durable before anything is written, its outcome after; only one runs at a time.
 * @throws SallyportError `target_changed` when the upstream is no longer the one it was copied from
 */
export function openUndo(ports: UndoPorts): (snapshotId: string, by: string) => Promise<Restored> {
  let turn: Promise<unknown> = Promise.resolve()
  return (snapshotId, by) => {
    const mine = turn.then(() => undo(ports, snapshotId, by))
    turn = mine.catch(() => undefined)
    return mine
  }
}

async function undo(ports: UndoPorts, snapshotId: string, by: string): Promise<Restored> {
  const { clock, random, log, vault } = ports
  const opened = await vault.open(snapshotId)
  const { snapshot } = opened
  return ports.withUpstream(snapshot.upstream, async (upstream, connector) => {
    if (upstream.identity !== snapshot.upstreamIdentity) {
      throw new SallyportError(
        'target_changed',
        `"${upstream.name}" is another database than the one this copy came from.`,
        'Nothing was restored.',
        'Point the upstream at the right database, or take the copy out by `sallyport vault restore`.',
      )
    }
    if (connector.restore === undefined) {
      throw new SallyportError(
        'not_supported',
        `Connector ${connector.id} cannot put a copy back by itself.`,
        'Nothing was restored.',
        'Take the copy out by `sallyport vault restore`.',
      )
    }
    const intent = random.hex(16)
    await log.append({
      type: 'intent',
      atMs: clock.nowMs(),
      data: { intent, digest: snapshot.digest, undo: snapshotId, upstream: upstream.name, by },
    })
    try {
      const restored = await connector.restore(opened, upstream, () => undefined)
      const detail = restored.verified ? 'verified' : 'put back, but not verified to be equal'
      await log.append({
        type: 'undo',
        atMs: clock.nowMs(),
        data: {
          intent,
          snapshot: snapshotId,
          rows: restored.rows,
          tables: restored.tables,
          verified: restored.verified,
          note: restored.note,
        },
      })
      await log.append({
        type: 'outcome',
        atMs: clock.nowMs(),
        data: { intent, result: 'succeeded', rows: restored.rows, detail },
      })
      return restored
    } catch (error) {
      const detail = error instanceof SallyportError ? `${error.code}: ${error.message}`.slice(0, 500) : 'internal'
      await log.append({ type: 'outcome', atMs: clock.nowMs(), data: { intent, result: 'failed', detail } })
      throw error
    }
  })
}
