import type { AgentDesk } from './agent-desk.ts'
import type { Govern } from './asked.ts'
import type { Json } from './canonical.ts'
import type { Handle } from './grant.ts'
import type { KillSwitch } from './ports.ts'
import type { Scope } from './policy/scope.ts'
import type { Session } from './session.ts'

/** Something that listens, and can stop. */
export interface Listener {
  readonly address: { readonly host: string; readonly port: number }
  /** Stops accepting, ends what runs, resolves when the last socket is closed. */
  close(): Promise<void>
}

/**
 * A wire language: listen, decode, ask govern, `send(clearance, …)`, refuse in the client's words.
 * `Upstreams` is the protocol's own port to its upstreams, handed in by main: a protocol folder opens no socket to an upstream itself.
 */
export interface Protocol<Upstreams, Settings> {
  readonly id: string
  listen(gate: Gate, upstreams: Upstreams, settings: Settings): Promise<Listener>
}

/** What a narrowed handle is to be. */
export interface WantedHandle {
  readonly scopes: readonly Scope[]
  /** Who will hold it: a part of the agent, by a name that its parent chose. */
  readonly actor: string
  /** Null: as long as its parent. */
  readonly ttlMs: number | null
  readonly usesMax: number | null
}

/** Who may come in. Protocols authenticate against this and never see how handles are kept. */
export interface Handles {
  /**
   * Handles of this agent that are neither expired nor revoked, at most 64. All handles of one agent share one SCRAM salt and iteration
   * count, so a server can send them before it knows which handle the client holds.
   */
  candidates(agent: string): Promise<readonly Handle[]>
  /**
   * A handle that may less than this one, for a part of the agent: within its scope, no longer alive, not used more often. The secret is in the answer and
   * nowhere else. @throws SallyportError
   */
  narrow(parent: Handle, wanted: WantedHandle): Promise<{ readonly handle: Handle; readonly secret: string }>
  /** Salt and iterations for any agent name, known or not, always the same for the same name: unknown names can't be told from known. */
  scramParameters(agent: string): { readonly salt: string; readonly iterations: number }
}

/** A session that is open, and how it learns that it must end. */
export interface OpenSession {
  readonly session: Session
  /** Aborted by a kill, a revoked or expired handle, or the gate's end; `reason` is a sentence. Nothing may be written upstream after. */
  readonly signal: AbortSignal
  /** True when the agent's standing scope on this upstream has nothing but reads: the server is told to be read-only too. */
  readonly readOnly: boolean
  /**
   * What a kill with `--drain` asks first: true when nothing but reads runs and the session ends by itself behind them, having let nothing more of
   * the agent's pass from that moment on. A session that nobody attends is ended at once. `isBusy` is asked by a gate that stops: whether anything
   * runs, or is being answered, that should end by itself.
   */
  readonly attendDrain?: (drains: () => boolean, isBusy?: () => boolean) => void
  /** Resolves when the log has it that this session began; when it cannot, the session has ended first, and this rejects. Absent: the log has it. */
  readonly written?: Promise<void>
}

export interface Sessions {
  /**
   * Durable on the log before it resolves. Throws SallyportError `killed`, `not_in_scope`.
   * @param meanwhile is called once what stops a session would stop this one: the way to the upstream may be opened then, and nothing of the agent's
   *   may be sent. It must not throw. Whoever gives it is not kept waiting for the log: what is no read is not run before `written` resolves
   */
  open(
    handle: Handle,
    protocol: string,
    upstream: string,
    peer: string,
    meanwhile?: (open: OpenSession) => void,
  ): Promise<OpenSession>
  close(session: string, reason: string): Promise<void>
}

/** Jobs and services that hold nothing of ours: they show a token of an issuer that the configuration names. */
export interface Workloads {
  /**
   * A handle of this agent for such a token, which counts once; the handle lives no longer than it. `refused` says why not, for the log: whoever asks is
   * told only that it did not fit. @throws SallyportError where that is not for the token to mend
   */
  exchange(
    agent: string,
    token: string,
    ttlMs: number | null,
  ): Promise<{ readonly made: { readonly handle: Handle; readonly secret: string } } | { readonly refused: string }>
}

/** What main hands to every protocol besides its upstreams. */
export interface Gate {
  readonly govern: Govern
  readonly handles: Handles
  readonly sessions: Sessions
  readonly killSwitch: KillSwitch
  /** Absent: a handle is given by people only. */
  readonly workloads?: Workloads
  /** What agents may ask of the gate itself. Absent: nothing. */
  readonly desk?: AgentDesk
  /** Something that people should look at now: on the log and the live page. Never carries a secret. */
  alarm(event: {
    readonly kind: string
    readonly session: string
    readonly agent: string
    readonly data: { readonly [key: string]: Json }
  }): void
  /** An authentication that failed, or bytes that are no protocol: counted, and on the log. Never carries the secret. */
  refusedAtDoor(protocol: string, peer: string, agent: string, why: string): void
}
