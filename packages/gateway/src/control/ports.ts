import type {
  AccessRequest,
  AheadWanted,
  Approval,
  Clock,
  Json,
  Keeping,
  Log,
  Quarantined,
  Question,
  Randomness,
  Requests,
  Restored,
  Review,
  Session,
  SessionBrief,
  SessionStory,
  Snapshot,
  StandingGrant,
  VaultTargets,
  VerdictResult,
} from '@sallyport/core'
import type { Posture } from '@sallyport/console'
import type { AccountSignIn } from './account-ports.ts'
import type { CodeApp, Codes } from './code-ports.ts'
import type { AttestationRule } from './attestation.ts'
import type { Overview, Recorded } from './overview.ts'
import type { PolicyControl } from './policy-ports.ts'
import type { WebSessions } from './web-session-ports.ts'

/** One authenticator's public half. */
export interface Passkey {
  /** As WebAuthn gives it, base64url. Unique over all persons. */
  readonly credentialId: string
  /** COSE key, base64url. */
  readonly publicKey: string
  /** The highest signature counter seen. Synced passkeys stay at 0 for ever. */
  readonly counter: number
  readonly transports: readonly string[]
  /** False when the key never leaves one device. */
  readonly synced: boolean
  /** What the person calls it; empty for one that came with the enrolment. */
  readonly name: string
  /** Model of the authenticator; zeros for most. It proves nothing without attestation. */
  readonly aaguid: string
  readonly addedAtMs: number
}

/** Someone enrolled. The name is unique (see isSamePerson), never changes, and is what approvals and the log carry. */
export interface Person {
  readonly name: string
  /** The WebAuthn user handle: random, base64url, says nothing of the person. */
  readonly userHandle: string
  readonly passkeys: readonly Passkey[]
  /** What makes their one-time codes; null: nothing does. */
  readonly codeApp: CodeApp | null
  readonly enrolledAtMs: number
  /** Who let them in; null: enrolled by a version that kept this on the log only. */
  readonly admission: {
    /** Null: by the terminal's link. */
    readonly invitedBy: string | null
    /** Null: nobody had to confirm. */
    readonly confirmedBy: string | null
  } | null
  /** Null: enrolled. Nobody who was removed signs in, is counted or asked; the name stays theirs. */
  readonly removed: {
    readonly by: string
    readonly atMs: number
    /** A second person has to stand by it; until then it can be taken back. */
    readonly waits: boolean
    readonly confirmedBy: string | null
  } | null
}

/** A person about to be enrolled: who let them in is read off the link, in the transaction. */
export type Newcomer = Omit<Person, 'admission' | 'removed' | 'codeApp'>

export type Enrolled =
  | 'enrolled'
  /** Used, expired or unknown. */
  | 'link_invalid'
  /** The link came from the terminal, which may only enrol the first person, and there is one. */
  | 'not_first'
  /** Enough are enrolled that somebody other than the inviter has to confirm the invitation, and nobody did. */
  | 'unconfirmed'
  /** The name, as isSamePerson compares, or the credential is taken. */
  | 'taken'

/** Enrolled persons. Durable before a promise resolves. */
export interface People {
  list(): Promise<readonly Person[]>
  /** Those who were removed too. Who was ever enrolled counts where it is asked whether one person alone lets others in. */
  ever(): Promise<readonly Person[]>
  /**
   * In one transaction: the link is there, unused, unexpired at `nowMs` and becomes used; when nobody invited (`invitedBy` null) nobody is enrolled
   * yet; when `confirmFrom` or more are enrolled, the invitation was confirmed by one of them other than the inviter (`confirmFrom` null: never);
   * name and credential are free; the person is added. Anything else changes nothing.
   */
  enrol(newcomer: Newcomer, tokenSha256: string, nowMs: number, confirmFrom: number | null): Promise<Enrolled>
  /**
   * In one transaction: the person is removed, links they made or confirmed are withdrawn, and what they approved and has not run is cancelled.
   * With the ids of those requests; null: nobody of this name is enrolled, or nobody else is. From `confirmFrom` people on, it waits for a second one.
   */
  remove(
    name: string,
    by: string,
    nowMs: number,
    confirmFrom?: number | null,
  ): Promise<{ readonly cancelled: readonly string[]; readonly waits: boolean } | null>
  /** `own`: by who removed. `unknown`: no such removal waits, or who confirms is not enrolled. */
  confirmRemoval(name: string, by: string): Promise<'confirmed' | 'unknown' | 'own'>
  /** `final`: it cannot be taken back. `not_theirs`: not by this person. */
  restore(name: string, by: string, nowMs: number): Promise<'restored' | 'final' | 'not_theirs'>
  /** False: nobody of this name is enrolled, they have enough, or somebody has this one. */
  addPasskey(name: string, passkey: Passkey): Promise<boolean>
  /** False: it is not theirs, or the last one. */
  removePasskey(name: string, credentialId: string): Promise<boolean>
  /** False: they have one already. `lastStep`: of the code that was shown with it; that one is used up. */
  addCodeApp(name: string, app: Omit<CodeApp, 'isLocked'> & { readonly lastStep: number }): Promise<boolean>
  /** False: it is not theirs. */
  removeCodeApp(name: string, id: string): Promise<boolean>
  /** Before each look at a code: counted as a miss until it counted. False: too many in a row, or it is not theirs any more. */
  tryCode(name: string, id: string): Promise<boolean>
  /** Compare-and-set over all gates: false when this step, or a later one, was used. */
  useCode(name: string, id: string, step: number): Promise<boolean>
  /** Compare-and-set: false when the stored counter is no longer `from`. */
  advanceCounter(credentialId: string, from: number, to: number): Promise<boolean>
}

/** A one-time link that enrols one person. Its secret is kept nowhere: only the hash. */
export interface EnrolmentLink {
  readonly tokenSha256: string
  /** Null: made by the operator at the terminal. */
  readonly invitedBy: string | null
  readonly createdAtMs: number
  readonly expiresAtMs: number
  readonly usedAtMs: number | null
  /** A second enrolled person who stood by it with a passkey. */
  readonly confirmation: { readonly person: string; readonly atMs: number } | null
  readonly withdrawnAtMs: number | null
}

export type Confirmed =
  | 'confirmed'
  /** Used, withdrawn, expired, unknown, or the terminal's. */
  | 'link_invalid'
  /** The inviter's own, as isSamePerson compares. */
  | 'own'
  /** Somebody did before. */
  | 'already'
  /** Who confirms is not enrolled. */
  | 'stranger'

/** Durable before a promise resolves. */
export interface EnrolmentLinks {
  create(link: EnrolmentLink): Promise<void>
  find(tokenSha256: string): Promise<EnrolmentLink | null>
  /** Neither used, nor withdrawn, nor expired; oldest first. */
  open(nowMs: number): Promise<readonly EnrolmentLink[]>
  /** Compare-and-set, in one transaction. */
  confirm(tokenSha256: string, person: string, nowMs: number): Promise<Confirmed>
  /** False when it is no longer open. */
  withdraw(tokenSha256: string, nowMs: number): Promise<boolean>
}

export type KillScope =
  | { readonly kind: 'session' | 'agent' | 'owner' | 'upstream'; readonly id: string }
  | { readonly kind: 'all'; readonly id: '*' }

export interface Kill {
  readonly id: string
  readonly scope: KillScope
  readonly reason: string
  readonly by: string
  readonly atMs: number
}

export interface Killed {
  readonly kill: Kill
  /** From the call to the last confirmation that nothing more is written upstream. */
  readonly acknowledgedMs: number
  readonly sessionsEnded: number
}

/** The log as it grows. */
export interface Feed {
  /** Events past `after` (null: the newest), oldest first, at most `limit`. With `after` given and more than `limit` past it: the newest `limit`. */
  recent(after: number | null, limit: number): Promise<readonly Recorded[]>
  /** Every event from now on, in order. The listener returns at once and never throws. Returns the way to stop. */
  subscribe(listener: (recorded: Recorded) => void): () => void
}

/** What sessions did, from the log. */
export interface Stories {
  /** Newest first. `sinceIndex`: older entries of the log were not looked at; 0: all were. */
  list(agent: string | null): Promise<{ readonly sessions: readonly SessionBrief[]; readonly sinceIndex: number }>
  /** Null: no such session among those that would be listed. */
  tell(id: string): Promise<SessionStory | null>
}

/** A person's passkey over one act that is not a verdict: a release, an invitation. Kept so that anyone can verify it again offline. */
export interface Signed {
  readonly person: string
  readonly credentialId: string
  /** What was signed, hex: the digest of `statement`. */
  readonly challenge: string
  readonly statement: Json
  readonly evidence: Json
}

/** A configuration that gives more than the one in force, and waits for people. */
export interface Proposed {
  /** Of everything in it that gives power. */
  readonly digest: string
  readonly text: string
  readonly textSha256: string
  /** What it gives beyond what is in force, a line each. */
  readonly widenings: readonly string[]
  readonly proposedAtMs: number
  /** Who typed it; null: it is what the file says. */
  readonly by: string | null
  readonly acceptances: readonly { readonly person: string; readonly atMs: number }[]
  /** From when on a start takes it over; null: not enough people accepted it. */
  readonly notBeforeMs: number | null
}

/** What people may do about the configuration. Nothing of it changes what is in force: only a start does. */
export interface ConfigurationControl {
  readonly path: string
  readonly textInForce: string
  /** How long an acceptance waits before it counts, ms. */
  readonly coolOffMs: number
  proposal(): Proposed | null
  /** Reads the file again. What gives more becomes a proposal; what does not is taken over at the next start. */
  reread(): Promise<
    | { readonly outcome: 'same' | 'narrower' }
    | { readonly outcome: 'mistakes'; readonly lines: readonly string[] }
    | { readonly outcome: 'proposed'; readonly widenings: readonly string[] }
  >
  /**
   * On the log before it resolves. Null: this is not what waits now. Throws SallyportError when this person accepted it already.
   * @param needed how many people it takes
   */
  accept(
    digest: string,
    signed: Signed,
    needed: number,
  ): Promise<{ readonly missing: number; readonly notBeforeMs: number | null } | null>
  /** What somebody who was removed had accepted counts no longer. */
  forget(person: string): Promise<void>
  /** False: this is not what waits now. */
  withdraw(digest: string, by: string): Promise<boolean>
}

/** A handle for people to read. Nothing of its secret. */
export interface HandleLine {
  readonly id: string
  readonly agent: string
  readonly owner: string
  readonly parent: string | null
  /** Who acts, outermost first. */
  readonly act: readonly string[]
  /** In words. */
  readonly scopes: readonly string[]
  readonly issuedAtMs: number
  readonly expiresAtMs: number
  /** Null: not since the gate started. */
  readonly lastUsedAtMs: number | null
  readonly openSessions: number
}

/** One of the gates that share a store, as it told of itself a second ago. */
export interface GateLine {
  readonly gate: string
  /** The one that is asked. */
  readonly isOwn: boolean
  /** It has a lease: kills wait for its word. */
  readonly isLive: boolean
  readonly seenMsAgo: number
  /** Its machine's clock against the store's; null, as below: it did not say. */
  readonly skewMs: number | null
  readonly isolationLevel: number | null
  readonly warnings: readonly string[]
  readonly sessions: number
}

/** The gates that share a store, for people: nothing is decided by what they tell each other here. */
export interface GateRoll {
  list(): Promise<{ readonly schema: number; readonly leaseMs: number; readonly gates: readonly GateLine[] }>
  sessionsElsewhere(): Promise<readonly (Session & { readonly gate: string })[]>
}

/** Everything the people's listener asks of the rest of the gate. */
export interface Control {
  /** The signature was verified over exactly `challengeOf(request, verdict)`; the rest is decided there, and put on the log. */
  verdict(requestId: string, approval: Approval): Promise<VerdictResult>
  cancel(requestId: string, by: string): Promise<boolean>
  kill(scope: KillScope, reason: string, by: string): Promise<Killed>
  /** False when there is no such kill. On the log before it resolves. */
  release(killId: string, signed: Signed): Promise<boolean>
  kills(): Promise<readonly Kill[]>
  /** Of this gate. */
  sessions(): Promise<readonly Session[]>
  /** The other gates; absent: this one is alone. */
  readonly gates?: GateRoll
  /** Names of the agents that the configuration knows. */
  agents(): readonly string[]
  /** Whose agent each is, as the configuration says. */
  owners(): readonly { readonly agent: string; readonly owner: string }[]
  /** The newest proven copy that holds all that this question would lose. */
  newestCopy(question: Question): Promise<Snapshot | null>
  /** What was moved out of reach instead of being dropped, and is still there. Throws SallyportError. */
  quarantined(): Promise<readonly (Quarantined & { readonly upstream: string })[]>
  /** A proven copy of a thing, made now. Throws SallyportError. */
  copy(thing: { readonly upstream: string; readonly type: string; readonly id: string }, by: string): Promise<Snapshot>
  snapshots(): Promise<readonly Snapshot[]>
  /** Whole things that are kept: how they stand, and work on them. */
  readonly keeping: Keeping
  /** How everything that is protected stands. Never throws. */
  vaultTargets(): Promise<VaultTargets>
  undo(snapshotId: string, by: string): Promise<Restored>
  /** The secret is in the answer and nowhere else. `ttlMs` null: as configured. Throws SallyportError `not_in_scope` for an unknown agent. */
  issueHandle(
    agent: string,
    ttlMs: number | null,
    by: string,
  ): Promise<{ readonly id: string; readonly handle: string; readonly expiresAtMs: number }>
  /** Those in force, newest first. Absent: none are kept here. */
  handles?(): Promise<readonly HandleLine[]>
  /** The secret is in the answer and nowhere else. @throws SallyportError when it is not in force */
  rotateHandle?(
    id: string,
    overlapMs: number,
    by: string,
  ): Promise<{ readonly id: string; readonly handle: string; readonly expiresAtMs: number; readonly oldEndsAtMs: number }>
  /** Ends a handle and all narrowed from it. False when there is no such handle in force. */
  revokeHandle(id: string, by: string): Promise<boolean>
  /** What one person broke glass for, and nobody has looked at yet. */
  reviews(): Promise<readonly Review[]>
  /** False: it is not open, or was this very person's. On the log before it resolves. */
  closeReview(request: string, signed: Signed): Promise<boolean>
  /** Why this person may not break glass now; null: they may. */
  glassFault(person: string): Promise<string | null>
  /** Asks people whether exactly this may run so often without being asked. Absent: it is asked each time. Throws SallyportError. */
  askAhead?(request: string, wanted: AheadWanted, by: string): Promise<AccessRequest>
  /** Scope that stands for a time beyond the configuration's. */
  standing(): readonly StandingGrant[]
  /** Ends it, and the sessions that have it. Null: nothing stands for that request. */
  endStanding(request: string, by: string): Promise<StandingGrant | null>
  /** The `@why` of a guard, or null for an unknown id. */
  guardSentence(id: string): string | null
  posture(): Posture
  /** Who outside is told what happens, and how that goes. Absent: nobody is. */
  deliveries?(): readonly {
    readonly name: string
    /** Events that it has not been asked about yet. */
    readonly behind: number
    /** In a row. */
    readonly failures: number
    readonly why: string | null
  }[]
  /** How continuous protection stands, an upstream each. Absent: nothing is protected so. */
  continuous?(): readonly Readonly<Record<string, Json>>[]
  readonly configuration: ConfigurationControl
  readonly policyDesk: PolicyControl
}

export interface ControlPorts {
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
  readonly feed: Feed
  readonly stories: Stories
  readonly requests: Requests
  readonly people: People
  readonly links: EnrolmentLinks
  readonly webSessions: WebSessions
  /** Absent: people sign in by passkey only. */
  readonly accounts?: AccountSignIn
  /** Which models of passkeys may be enrolled. Absent: all. */
  readonly attestation?: AttestationRule
  /** What one-time codes may approve. Absent: nothing, and nobody sets an app up for them. */
  readonly codes?: Codes
  readonly control: Control
  readonly overview: Overview
}

export interface ControlSettings {
  /** 0: any free one, on every loopback address alike. */
  readonly port: number
  /** SHA-256, hex, of the token that the operator's command line sends. The token itself is only in its 0600 file. */
  readonly operatorTokenSha256: string
  /** True in the gate of a drill: it enrols virtual persons only. Every other gate refuses them. */
  readonly drill?: boolean
}
