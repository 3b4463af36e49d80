import { createHmac, randomBytes } from 'node:crypto'
import {
  narrow,
  SallyportError,
  scopeText,
  sha256Hex,
  type AllowedScope,
  type Clock,
  type ErrorCode,
  type Handle,
  type Handles,
  type Json,
  type Log,
  type Narrowing,
} from '@sallyport/core'
import { rotateHandle, type Rotated, type RotationStorage } from './handle-rotation.ts'
import { makeScramVerifier, scramIterations } from './scram.ts'

/** What handles need of the store. */
export interface HandleStorage extends RotationStorage {
  insert(handle: Handle): void
  insertChild(handle: Handle, nowMs: number): boolean
  countChildren(agent: string, parent: string, nowMs: number): { readonly agent: number; readonly parent: number }
  active(agent: string, nowMs: number, most: number): readonly Handle[]
  revoke(id: string, nowMs: number): readonly string[]
}

export interface ConfiguredAgent {
  readonly owner: string
  /** The longest a handle of this agent may live, ms. */
  readonly handleMs: number
  /** What it may. */
  readonly scopes: readonly AllowedScope[]
}

export interface HandleDesk extends Handles {
  /** A new handle for a configured agent. The secret is in the answer and nowhere else. */
  issue(
    agent: string,
    ttlMs: number | null,
    by: string,
    basis?: IssueBasis,
  ): Promise<{ readonly handle: Handle; readonly secret: string }>
  /** A new secret for a handle; the old one ends within `overlapMs`. @throws SallyportError when it is not in force */
  rotate(id: string, overlapMs: number, by: string): Promise<Rotated>
  /** Ends a handle and all that were narrowed from it. Returns the ids that ended; `ended` gets them first, whether or not the log can have it. */
  revoke(id: string, by: string, ended?: (ids: readonly string[]) => void): Promise<readonly string[]>
}

/** What a handle is given for that nobody of the gate's people asked for. */
export interface IssueBasis {
  /** It does not live past this. */
  readonly untilMs: number
  /** Of the token, for the log. */
  readonly workload: { readonly [key: string]: Json }
}

const candidatesMax = 64
/** Of them, those that people can still have issued when workloads have taken the rest. */
const keptForPeople = 16
/** Of them, narrowed ones: an agent cannot fill its own place so that nobody issues it another. */
const childrenMax = 32
const childrenOfOneMax = 16

/** What a desk works with. */
interface Desk {
  readonly store: HandleStorage
  readonly log: Log
  readonly clock: Clock
  readonly agents: () => ReadonlyMap<string, ConfiguredAgent>
  readonly saltOf: (agent: string) => Buffer
}

interface Made {
  readonly handle: Handle
  readonly secret: string
}

/** @param saltKey keeps salts of unknown agents as stable as those of known ones, so that names can't be probed */
export function openHandleDesk(
  store: HandleStorage,
  log: Log,
  clock: Clock,
  saltKey: Buffer,
  agents: () => ReadonlyMap<string, ConfiguredAgent>,
): HandleDesk {
  const saltOf = (agent: string): Buffer => createHmac('sha256', saltKey).update(agent).digest().subarray(0, 16)
  const desk: Desk = { store, log, clock, agents, saltOf }
  return {
    scramParameters: (agent) => ({ salt: saltOf(agent).toString('base64'), iterations: scramIterations }),
    candidates: async (agent) => (agents().has(agent) ? store.active(agent, clock.nowMs(), candidatesMax) : []),
    issue: (agent, ttlMs, by, basis) => issueHandle(desk, agent, ttlMs, by, basis ?? null),
    narrow: (parent, wanted) => narrowHandle(desk, parent, wanted),
    rotate: (id, overlapMs, by) => {
      const make = (like: Handle, nowMs: number): Made =>
        makeHandle(desk, { ...like, narrowing: like.narrowing ?? null, issuedAtMs: nowMs })
      return rotateHandle({ store, log, clock, make }, id, overlapMs, by)
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

type Life = Pick<Handle, 'agent' | 'owner' | 'parent' | 'issuedAtMs' | 'expiresAtMs'> & { readonly narrowing: Narrowing | null }

function makeHandle({ saltOf }: Desk, life: Life): Made {
  const secret = `sp_${randomBytes(32).toString('base64url')}`
  const handle: Handle = {
    ...life,
    id: randomBytes(8).toString('hex'),
    revokedAtMs: null,
    scram: makeScramVerifier(secret, saltOf(life.agent)),
    secretSha256: sha256Hex(secret),
  }
  return { handle, secret }
}

async function issueHandle(desk: Desk, agent: string, ttlMs: number | null, by: string, basis: IssueBasis | null): Promise<Made> {
  const { store, log, clock, agents } = desk
  const configured = agents().get(agent)
  if (configured === undefined)
    throw new SallyportError(
      'not_in_scope',
      `No agent is called "${agent}".`,
      'No handle was issued.',
      'Add it: sallyport agent add',
    )
  const nowMs = clock.nowMs()
  const most = basis === null ? candidatesMax : candidatesMax - keptForPeople
  if (store.active(agent, nowMs, most).length >= most)
    throw new SallyportError(
      'limit_exceeded',
      `Agent "${agent}" has ${most} handles that are still good.`,
      'No handle was issued.',
      'Revoke some, or let them expire.',
    )
  const { owner, handleMs } = configured
  const expiresAtMs = Math.min(nowMs + Math.min(ttlMs ?? handleMs, handleMs), basis?.untilMs ?? Infinity)
  const made = makeHandle(desk, { agent, owner, parent: null, narrowing: null, issuedAtMs: nowMs, expiresAtMs })
  const workload = basis === null ? {} : { workload: basis.workload }
  const data = { handle: made.handle.id, owner, expiresAtMs, by, ...workload }
  await log.append({ type: 'handle.issued', atMs: nowMs, agent, data })
  store.insert(made.handle)
  return made
}

async function narrowHandle(desk: Desk, parent: Handle, wanted: Parameters<Handles['narrow']>[1]): Promise<Made> {
  const { store, log, clock, agents } = desk
  const { agent, owner } = parent
  const configured = agents().get(agent)
  if (configured === undefined) throw notNarrowed('not_in_scope', `No agent is called "${agent}" any more.`, 'Ask its owner.')
  const nowMs = clock.nowMs()
  const narrowing = narrow(
    { agent, scopes: configured.scopes, narrowing: parent.narrowing ?? null },
    { scopes: wanted.scopes, actor: wanted.actor, usesMax: wanted.usesMax },
  )
  checkRoom(store.countChildren(agent, parent.id, nowMs))
  const expiresAtMs = endOf(parent, wanted.ttlMs, nowMs)
  const made = makeHandle(desk, { agent, owner, parent: parent.id, narrowing, issuedAtMs: nowMs, expiresAtMs })
  const { act, scopes, usesMax } = narrowing
  const data = { handle: made.handle.id, parent: parent.id, sub: owner, act, scopes: scopes.map(scopeText), usesMax, expiresAtMs }
  await log.append({ type: 'handle.narrowed', atMs: nowMs, agent, data })
  // Looked at once more as it is kept: its parent may have ended while this became durable.
  if (!store.insertChild(made.handle, clock.nowMs()))
    throw notNarrowed('authentication_failed', 'This handle is no longer in force.', 'Ask for another.')
  return made
}

/** @throws SallyportError when there are enough already */
function checkRoom(children: { readonly agent: number; readonly parent: number }): void {
  if (children.parent < childrenOfOneMax && children.agent < childrenMax) return
  throw notNarrowed(
    'limit_exceeded',
    `${children.parent} handles narrowed from this one are still good, and ${children.agent} of this agent.`,
    'Let some expire, or revoke them.',
  )
}

/** @throws SallyportError for a life that is none, or longer than the parent's */
function endOf(parent: Handle, ttlMs: number | null, nowMs: number): number {
  if (ttlMs !== null && (!Number.isSafeInteger(ttlMs) || ttlMs < 1))
    throw notNarrowed('protocol_violation', 'A handle lives a second at least.', 'Give a longer life.')
  const expiresAtMs = nowMs + (ttlMs ?? parent.expiresAtMs - nowMs)
  if (expiresAtMs > parent.expiresAtMs)
    throw notNarrowed('not_in_scope', 'This handle ends before that.', 'Ask for a shorter life.')
  return expiresAtMs
}

function notNarrowed(code: ErrorCode, what: string, next: string): SallyportError {
  return new SallyportError(code, what, 'No handle was made.', next)
}
