import { scopeText } from '@sallyport/core'
import { wallClock as clock } from '../access/clock.ts'
import type { Control } from '../control/index.ts'
import type { Entrance } from './entrance.ts'
import type { Foundations } from './foundations.ts'

type HandleControl = Required<Pick<Control, 'handles' | 'rotateHandle' | 'issueHandle' | 'revokeHandle'>>

/** What people do about handles. */
export function bindHandles({ config }: Foundations, { handles, sessions, handlesInForce }: Entrance): HandleControl {
  const end = (ids: readonly string[], why: string): void => void sessions.endByHandles(ids, why)
  return {
    handles: () =>
      handlesInForce().map(({ id, agent, owner, parent, issuedAtMs, expiresAtMs, narrowing }) => ({
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
      return ended.length > 0
    },
  }
}
