import {
  isReadOnly,
  SallyportError,
  type Clock,
  type Handle,
  type KillSwitch,
  type Log,
  type OpenSession,
  type Randomness,
  type Session,
  type Sessions,
} from '@sallyport/core'
import type { KillKind } from './kill-switch.ts'

interface Entry {
  readonly session: Session
  readonly controller: AbortController
  readonly expiry: NodeJS.Timeout
  drains: (() => boolean) | null
  isBusy: (() => boolean) | null
}

export interface SessionPorts {
  readonly log: Log
  readonly clock: Clock
  readonly random: Randomness
  readonly killSwitch: KillSwitch
  /** Null: the agent has no scope at all on this upstream, or there is none of that name. */
  readonly scope: (agent: string, upstream: string) => { readonly readOnly: boolean } | null
  /** Counts a use of a handle. False: it has none left. */
  readonly use: (handle: string) => boolean | Promise<boolean>
  /** Whether it is in force no longer, by the store as it is now. */
  readonly isRevoked?: (handle: string) => boolean | Promise<boolean>
}

const timeoutMaxMs = 2 ** 31 - 1
const sessionsMax = 5_000
const handlesRemembered = 10_000
/** How long a read may go on after a kill that lets it. */
const drainMsMax = 30_000

/** The sessions open on this gate. */
export class SessionRegistry implements Sessions {
  readonly #open = new Map<string, Entry>()
  readonly #ports: SessionPorts
  readonly #lastUsed = new Map<string, number>()

  constructor(ports: SessionPorts) {
    this.#ports = ports
  }

  async open(
    handle: Handle,
    protocol: string,
    upstream: string,
    peer: string,
    meanwhile?: (open: OpenSession) => void,
  ): Promise<OpenSession> {
    const { clock, random, scope } = this.#ports
    const allowed = within(scope(handle.agent, upstream), handle, upstream)
    if (allowed === null) throw await this.#outOfScope(handle, protocol, upstream, peer)
    const id = random.hex(12)
    this.#checkRoom(handle, id, upstream)
    if (handle.narrowing && !(await this.#ports.use(handle.id)))
      throw new SallyportError(
        'limit_exceeded',
        'The handle, or one that it was narrowed from, was used as often as it may.',
        'No connection was made.',
        'Ask for another.',
      )
    // Once more, with nothing between this and the session: what was pulled meanwhile did not find it.
    this.#checkRoom(handle, id, upstream)
    const nowMs = clock.nowMs()
    const session: Session = Object.freeze({
      id,
      subject: Object.freeze({ agent: handle.agent, owner: handle.owner }),
      handleId: handle.id,
      narrowing: handle.narrowing ?? null,
      protocol,
      upstream,
      openedAtMs: nowMs,
      peer,
    })
    const controller = new AbortController()
    const expiry = setTimeout(() => this.#end(id, 'the handle expired'), Math.min(timeoutMaxMs, handle.expiresAtMs - nowMs))
    const entry: Entry = { session, controller, expiry, drains: null, isBusy: null }
    this.#open.set(id, entry)
    this.#noteUse(handle.id, nowMs)
    const attendDrain = (drains: () => boolean, isBusy?: () => boolean): void => {
      entry.drains = drains
      entry.isBusy = isBusy ?? null
    }
    const written = this.#writeDown(session, handle)
    const open = { session, signal: controller.signal, readOnly: allowed.readOnly, attendDrain }
    const begun = meanwhile === undefined ? open : { ...open, written }
    meanwhile?.(begun)
    try {
      await Promise.all([meanwhile === undefined ? written : null, this.#checkRevoked(handle)])
    } catch (error) {
      this.#end(id, 'it was refused')
      throw error
    }
    return begun
  }

  /** Rejects when the log did not take it, and then the session has ended. */
  #writeDown({ id, protocol, upstream, peer, openedAtMs }: Session, handle: Handle): Promise<void> {
    const { owner, narrowing } = handle
    const written = this.#ports.log
      .append({
        type: 'session.opened',
        atMs: openedAtMs,
        session: id,
        agent: handle.agent,
        data: {
          owner,
          handle: handle.id,
          protocol,
          upstream,
          peer,
          ...(narrowing ? { act: narrowing.act, sub: owner } : {}),
        },
      })
      .then(
        () => undefined,
        (error: unknown) => {
          this.#end(id, 'the log failed')
          throw error
        },
      )
    // Whoever waits for it hears of it. The session ends all the same.
    written.catch(() => undefined)
    return written
  }

  /** Revoked while its client proved that it has it: whoever revoked it did not find this session yet, and whoever does so from now on does. */
  async #checkRevoked({ id }: Handle): Promise<void> {
    if (!(await this.#ports.isRevoked?.(id))) return
    throw new SallyportError(
      'authentication_failed',
      'The handle has been revoked.',
      'No connection was made.',
      'Get a new one: sallyport handle issue',
    )
  }

  async #outOfScope(handle: Handle, protocol: string, upstream: string, peer: string): Promise<SallyportError> {
    const { clock, log } = this.#ports
    await log.append({
      type: 'door.refused',
      atMs: clock.nowMs(),
      agent: handle.agent,
      data: { protocol, peer, why: 'no scope on this upstream', upstream: upstream.slice(0, 128).toWellFormed() },
    })
    return new SallyportError(
      'not_in_scope',
      `Agent "${handle.agent}" has nothing on "${upstream.slice(0, 128)}".`,
      'No connection was made to it.',
      `Ask ${handle.owner} to widen the agent's scope, or use another upstream.`,
    )
  }

  /** @throws SallyportError when no session may begin now */
  #checkRoom(handle: Handle, id: string, upstream: string): void {
    const { clock, killSwitch } = this.#ports
    if (this.#open.size >= sessionsMax)
      throw new SallyportError(
        'limit_exceeded',
        `${sessionsMax} sessions are open on this gate.`,
        'No connection was made.',
        'Close some and try again.',
      )
    const stopped = killSwitch.stopped(handle.agent, handle.owner, id, upstream)
    if (stopped !== null)
      throw new SallyportError(
        'killed',
        `Stopped by the kill switch: ${stopped}.`,
        'No connection was made.',
        'Wait until a person releases it.',
      )
    if (handle.expiresAtMs <= clock.nowMs())
      throw new SallyportError(
        'authentication_failed',
        'The handle has expired.',
        'No connection was made.',
        'Get a new one: sallyport handle issue',
      )
  }

  async close(session: string, reason: string): Promise<void> {
    const entry = this.#open.get(session)
    if (entry === undefined) return
    this.#open.delete(session)
    clearTimeout(entry.expiry)
    await this.#ports.log.append({
      type: 'session.closed',
      atMs: this.#ports.clock.nowMs(),
      session,
      agent: entry.session.subject.agent,
      data: {
        reason,
        ...(entry.session.narrowing ? { act: entry.session.narrowing.act, sub: entry.session.subject.owner } : {}),
      },
    })
  }

  list(): readonly Session[] {
    return [...this.#open.values()].map(({ session }) => session)
  }

  /** Sessions in which something runs or is being answered. */
  busy(): number {
    return [...this.#open.values()].filter(({ isBusy }) => isBusy?.() === true).length
  }

  /**
   * Synchronous: when it returns, every matching session's signal is aborted and its listeners have run; with `drain`, nothing runs in those that
   * are left but reads, which have `drainMsMax`.
   */
  endMatching(kind: KillKind, name: string, reason: string, drain = false): number {
    const matching = this.list().filter((session) => isMatch(session, kind, name))
    for (const { id } of matching) {
      if (drain && this.#open.get(id)?.drains?.() === true) setTimeout(() => this.#end(id, reason), drainMsMax).unref()
      else this.#end(id, reason)
    }
    return matching.length
  }

  /** When a session was last opened with this handle; null: not since this gate started, or too long ago to be kept. */
  lastUsed(handleId: string): number | null {
    return this.#lastUsed.get(handleId) ?? null
  }

  endByHandles(handleIds: readonly string[], reason: string): number {
    const matching = this.list().filter((session) => handleIds.includes(session.handleId))
    for (const session of matching) this.#end(session.id, reason)
    return matching.length
  }

  endOn(agent: string, upstream: string, reason: string): number {
    const matching = this.list().filter((session) => session.subject.agent === agent && session.upstream === upstream)
    for (const session of matching) this.#end(session.id, reason)
    return matching.length
  }

  /** Put last, so that the one longest unused is forgotten. */
  #noteUse(handleId: string, nowMs: number): void {
    this.#lastUsed.delete(handleId)
    this.#lastUsed.set(handleId, nowMs)
    if (this.#lastUsed.size > handlesRemembered) this.#lastUsed.delete(this.#lastUsed.keys().next().value ?? '')
  }

  #end(id: string, reason: string): void {
    const entry = this.#open.get(id)
    if (entry === undefined) return
    clearTimeout(entry.expiry)
    entry.controller.abort(reason)
    void this.close(id, reason).catch(() => undefined)
  }
}

/** What the agent may here, or the less that a narrowed handle may. */
function within(
  allowed: { readonly readOnly: boolean } | null,
  { narrowing }: Handle,
  upstream: string,
): { readonly readOnly: boolean } | null {
  if (allowed === null || !narrowing) return allowed
  if (!narrowing.scopes.some((scope) => scope.upstream === upstream)) return null
  return { readOnly: allowed.readOnly || isReadOnly(narrowing.scopes, upstream) }
}

function isMatch(session: Session, kind: KillKind, name: string): boolean {
  switch (kind) {
    case 'all':
      return true
    case 'session':
      return session.id === name
    case 'agent':
      return session.subject.agent === name
    case 'owner':
      return session.subject.owner === name
    case 'upstream':
      return session.upstream === name
  }
}
