import { SallyportError, type Clock, type Handle, type Log } from '@sallyport/core'

/** What a rotation needs of the store. */
export interface RotationStorage {
  find(id: string): Handle | null | Promise<Handle | null>
  /** In one transaction: the new one is kept, and the old one with all that was narrowed from it ends by `endsAtMs`, or as before where that is sooner. Their ids; null: the old one is no longer in force. */
  replace(
    old: string,
    made: Handle,
    endsAtMs: number,
    nowMs: number,
  ): readonly string[] | null | Promise<readonly string[] | null>
}

interface Ports {
  readonly store: RotationStorage
  readonly log: Log
  readonly clock: Clock
  /** A handle with a new secret, not kept anywhere yet. */
  readonly make: (like: Handle, nowMs: number) => { readonly handle: Handle; readonly secret: string }
}

export interface Rotated {
  readonly handle: Handle
  readonly secret: string
  /** When the old one ends at the latest. */
  readonly oldEndsAtMs: number
  /** The old one and all that was narrowed from it. */
  readonly ending: readonly string[]
}

/** Both secrets work for so long at most, so that whoever holds the old one can be given the new one. */
const overlapMsMax = 3_600_000

/**
 * A new secret for the same handle's scope and life: it ends when the old one would have, since whoever rotates gives nobody more than they had. What was
 * narrowed from the old one ends with it: who knew its secret may have made that.
 */
export async function rotateHandle(
  { store, log, clock, make }: Ports,
  id: string,
  overlapMs: number,
  by: string,
): Promise<Rotated> {
  const nowMs = clock.nowMs()
  const old = await store.find(id)
  if (old === null || old.revokedAtMs !== null || old.expiresAtMs <= nowMs) throw notInForce()
  const { handle, secret } = make(old, nowMs)
  const oldEndsAtMs = Math.min(old.expiresAtMs, nowMs + Math.min(Math.max(0, overlapMs), overlapMsMax))
  const { agent, owner, expiresAtMs } = handle
  const data = { handle: handle.id, rotated: id, owner, expiresAtMs, oldEndsAtMs, by }
  await log.append({ type: 'handle.rotated', atMs: nowMs, agent, data })
  // A kill or a revocation that came while this became durable found no new one to end.
  const ending = await store.replace(id, handle, oldEndsAtMs, clock.nowMs())
  if (ending === null) throw notInForce()
  return { handle, secret, oldEndsAtMs, ending }
}

function notInForce(): SallyportError {
  return new SallyportError(
    'not_in_scope',
    'No handle of this id is in force.',
    'Nothing was rotated.',
    'Issue another: sallyport handle issue AGENT.',
  )
}
