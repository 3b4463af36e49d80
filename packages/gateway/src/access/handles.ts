import { createHmac, randomBytes } from 'node:crypto'
import { SallyportError, sha256Hex, type Clock, type Handle, type Handles, type Log } from '@sallyport/core'
import { makeScramVerifier, scramIterations } from './scram.ts'

/** What handles need of the store. */
export interface HandleStorage {
  insert(handle: Handle): void
  active(agent: string, nowMs: number, most: number): readonly Handle[]
  revoke(id: string, nowMs: number): readonly string[]
}

export interface ConfiguredAgent {
  readonly owner: string
  /** The longest a handle of this agent may live, ms. */
  readonly handleMs: number
}

export interface HandleDesk extends Handles {
  /** A new handle for a configured agent. The secret is in the answer and nowhere else. */
  issue(agent: string, ttlMs: number | null, by: string): Promise<{ readonly handle: Handle; readonly secret: string }>
  /** Ends a handle and all that were narrowed from it. Returns the ids that ended; `ended` gets them first, whether or not the log can have it. */
  revoke(id: string, by: string, ended?: (ids: readonly string[]) => void): Promise<readonly string[]>
}

const candidatesMax = 64

/** @param saltKey keeps salts of unknown agents as stable as those of known ones, so that names can't be probed */
export function openHandleDesk(
  store: HandleStorage,
  log: Log,
  clock: Clock,
  saltKey: Buffer,
  agents: () => ReadonlyMap<string, ConfiguredAgent>,
): HandleDesk {
  const saltOf = (agent: string): Buffer => createHmac('sha256', saltKey).update(agent).digest().subarray(0, 16)
  return {
    scramParameters: (agent) => ({ salt: saltOf(agent).toString('base64'), iterations: scramIterations }),
    candidates: async (agent) => (agents().has(agent) ? store.active(agent, clock.nowMs(), candidatesMax) : []),
    issue: async (agent, ttlMs, by) => {
      const configured = agents().get(agent)
      if (configured === undefined)
        throw new SallyportError(
          'not_in_scope',
          `No agent is called "${agent}".`,
          'No handle was issued.',
          'Add it: sallyport agent add',
        )
      const nowMs = clock.nowMs()
      if (store.active(agent, nowMs, candidatesMax).length >= candidatesMax) {
        throw new SallyportError(
          'limit_exceeded',
          `Agent "${agent}" has ${candidatesMax} handles that are still good.`,
          'No handle was issued.',
          'Revoke some, or let them expire.',
        )
      }
      const lifeMs = Math.min(ttlMs ?? configured.handleMs, configured.handleMs)
      const secret = `sp_${randomBytes(32).toString('base64url')}`
      const handle: Handle = {
        id: randomBytes(8).toString('hex'),
        agent,
        owner: configured.owner,
        parent: null,
        issuedAtMs: nowMs,
        expiresAtMs: nowMs + lifeMs,
        revokedAtMs: null,
        scram: makeScramVerifier(secret, saltOf(agent)),
        secretSha256: sha256Hex(secret),
      }
      await log.append({
        type: 'handle.issued',
        atMs: nowMs,
        agent,
        data: { handle: handle.id, owner: handle.owner, expiresAtMs: handle.expiresAtMs, by },
      })
      store.insert(handle)
      return { handle, secret }
    },
    revoke: async (id, by, ended) => {
      const ids = store.revoke(id, clock.nowMs())
      // What narrows waits for nothing: with a log that fails, the sessions have to end all the same.
      ended?.(ids)
      for (const handle of ids) await log.append({ type: 'handle.revoked', atMs: clock.nowMs(), data: { handle, by } })
      return ids
    },
  }
}
