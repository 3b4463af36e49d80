import { SallyportError, scopeText } from '@sallyport/core'
import type { Control } from '../control/index.ts'
import type { Entrance } from './entrance.ts'
import type { Store } from '../store/store.ts'
import type { Foundations } from './foundations.ts'

type HandleControl = Required<Pick<Control, 'handles' | 'rotateHandle' | 'issueHandle' | 'revokeHandle'>>

/** What people do about handles. */
export function bindHandles(
  { config, store: { clock, kills } }: Foundations,
  { handles, sessions, handlesInForce }: Entrance,
): HandleControl {
  const end = (ids: readonly string[], why: string): void => void sessions.endByHandles(ids, why)
  return {
    handles: async () =>
      (await handlesInForce()).map(({ id, agent, owner, parent, issuedAtMs, expiresAtMs, narrowing }) => ({
        id,
        agent,
        owner,
        parent,
        act: narrowing?.act ?? [agent],
        scopes: (narrowing?.scopes ?? config.agents.find(({ name }) => name === agent)?.scopes ?? []).map(scopeText),
        issuedAtMs,
        expiresAtMs,
        lastUsedAtMs: sessions.lastUsed(id),
        openSessions: sessions.list().filter(({ handleId }) => handleId === id).length,
      })),
    rotateHandle: async (id, overlapMs, by) => {
      const { handle, secret, oldEndsAtMs, ending } = await handles.rotate(id, overlapMs, by)
      // Sessions know the end that the old one had when they began.
      const timer = setTimeout(() => end(ending, 'the handle was rotated'), Math.max(0, oldEndsAtMs - clock.nowMs()))
      timer.unref()
      return { id: handle.id, handle: secret, expiresAtMs: handle.expiresAtMs, oldEndsAtMs }
    },
    issueHandle: async (agent, ttlMs, by) => {
      const { handle, secret } = await handles.issue(agent, ttlMs, by)
      return { id: handle.id, handle: secret, expiresAtMs: handle.expiresAtMs }
    },
    revokeHandle: async (id, by) => {
      const ended = await handles.revoke(id, by, (ids) => end(ids, 'the handle was revoked'))
      if (ended.length > 0) await endEverywhere(kills)
      return ended.length > 0
    },
  }
}

/** At other gates too, before anybody is told that it is revoked. */
async function endEverywhere(kills: Store['kills']): Promise<void> {
  try {
    await kills.everywhere?.()
  } catch (error) {
    throw new SallyportError(
      'store_unavailable',
      'The handle is revoked and its sessions at this gate have ended, but the store that the gates share did not say whether they have at the others.',
      'No new session begins with it anywhere. A gate that cannot reach the store ends all its sessions by itself.',
      'See that the store runs; `sallyport doctor` says which gates live.',
      { cause: error },
    )
  }
}
