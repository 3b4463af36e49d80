import { digestJson, type Json } from './canonical.ts'
import type { ImpactKind } from './impact.ts'
import type { CopyPlan, Environment, Subject } from './operation.ts'

export const accessRequestStates = ['pending', 'approved', 'rejected', 'expired', 'cancelled'] as const
export type AccessRequestState = (typeof accessRequestStates)[number]

/** One operation as a person sees and signs it. */
export interface AskedOperation {
  readonly action: string
  readonly kind: ImpactKind
  readonly reversible: boolean
  readonly why: string
  readonly resources: readonly {
    readonly type: string
    readonly name: string
    readonly identity: string | null
    readonly schemaHash: string | null
  }[]
  /** Measured when asked. */
  readonly rows: number | null
  readonly bytes: number | null
  readonly tables: readonly string[]
  readonly dependants: readonly string[]
}

/** One step of a plan, as a person sees and signs it: a request of its own, whole. */
export interface PlanStep {
  /** The request that asks for this alone. */
  readonly request: string
  /** What a passkey would sign for a yes to that request, hex: all of its question, its nonce and its expiry. */
  readonly challenge: string
  readonly protocol: string
  /** The agent's own text. Fenced when shown: it is hostile. */
  readonly text: string
  readonly bindValues: readonly Json[]
  /** So many of the question's operations, in their order, are this step's. */
  readonly operationsCount: number
  readonly rowsMax: number | null
  readonly copy: Question['copy']
}

/** What people are asked. Everything in here is signed by the verdict's challenge, so everything in here is shown. */
export interface Question {
  readonly digest: string
  readonly subject: Subject
  readonly protocol: string
  readonly upstream: string
  readonly environment: Environment
  /** The agent's own text (SQL, or method and URL), whole. Fenced when shown: it is hostile. */
  readonly text: string
  readonly bindValues: readonly Json[]
  readonly operations: readonly AskedOperation[]
  /** Upper bound on rows that may change, enforced before commit: what was measured + 10 %. Null: nothing to count. */
  readonly rowsMax: number | null
  /** The requirement on the copy; the copy made later must satisfy it. */
  readonly copy: CopyPlan['kind'] | 'restore_point'
  /** How many people, not counting the owner where they may not count. */
  readonly approvalsNeeded: number
  /** The group whose people alone count, where this upstream has one. */
  readonly approversFrom?: string
  /** An approval takes effect this long after it was given; anyone may cancel until then. 0: at once. */
  readonly delayMs: number
  /** Ids of the guards that asked, sorted. */
  readonly guards: readonly string[]
  readonly policyHash: string
  /** Of a plan: what it lets run, each once, in this order. The text is then the agent's reason. */
  readonly steps?: readonly PlanStep[]
  /** Of an approval ahead: what it answers, how often, and for how long from when it counts. */
  readonly ahead?: { readonly digest: string; readonly uses: number; readonly forMs: number }
}

/** "Yes, but": what an approval asks beyond the question's own bounds. The strictest of all that count holds. */
export interface Conditions {
  /** At most so many rows may change, enforced before commit. Never more than the question's own bound. */
  readonly rowsMax: number | null
  /** It may not run before: "after the 18:00 backup". */
  readonly notBeforeMs: number | null
}

/** One person's verdict: signed with a passkey, or, where policy says so, backed by a one-time code alone. */
export interface Approval {
  readonly person: string
  readonly verdict: 'approve' | 'reject'
  readonly atMs: number
  /** The challenge that was signed, hex. */
  readonly challenge: string
  readonly credentialId: string
  /** The WebAuthn response as verified, so that anyone can verify it again offline. */
  readonly evidence: Json
  readonly reason: string
  /** Part of what was signed. Absent: none. */
  readonly conditions?: Conditions
  /** Signed as the breaking of glass: it stands for all the approvals that were needed, and somebody else looks at it afterwards. */
  readonly breakGlass?: true
  /** Given by a one-time code (RFC 6238): nothing was signed, and nobody can verify it again. Absent: a passkey signed the challenge. */
  readonly method?: 'totp'
}

/** The durable question to people about one request's operations. */
export interface AccessRequest {
  /** Random, unguessable, safe in a URL. */
  readonly id: string
  readonly nonce: string
  readonly session: string
  readonly question: Question
  readonly state: AccessRequestState
  readonly approvals: readonly Approval[]
  readonly createdAtMs: number
  readonly expiresAtMs: number
  /** When an approved request may run. Set on approval. */
  readonly notBeforeMs: number | null
  readonly endedBy: string | null
}

/**
 * The bytes a passkey signs for one verdict on one request (DESIGN §6): SHA-256, hex. What is shown is what is signed. Under conditions it is the
 * digest of the plain challenge and of them, so that the page that showed the one can compute the other.
 */
export function challengeOf(
  request: Pick<AccessRequest, 'id' | 'nonce' | 'question' | 'expiresAtMs'>,
  verdict: 'approve' | 'reject',
  conditions?: Conditions,
  breakGlass = false,
): string {
  const plain = plainChallenge(request, verdict)
  if (breakGlass) return digestJson({ v: 1, purpose: 'sallyport break-glass', base: plain })
  return conditions === undefined
    ? plain
    : digestJson({ v: 1, purpose: 'sallyport verdict under conditions', base: plain, conditions: { ...conditions } })
}

/** What the page of a request carries with its one-time code: which question its reader saw. Nobody signs it. */
export function codeChallengeOf(request: Pick<AccessRequest, 'id' | 'nonce' | 'question' | 'expiresAtMs'>): string {
  return digestJson({ v: 1, purpose: 'sallyport verdict by a one-time code', base: plainChallenge(request, 'approve') })
}

function plainChallenge(
  request: Pick<AccessRequest, 'id' | 'nonce' | 'question' | 'expiresAtMs'>,
  verdict: 'approve' | 'reject',
): string {
  return digestJson({
    v: 1,
    purpose: 'sallyport verdict',
    verdict,
    request: request.id,
    nonce: request.nonce,
    expiresAtMs: request.expiresAtMs,
    question: questionJson(request.question),
  })
}

export function questionJson(question: Question): Json {
  return {
    digest: question.digest,
    subject: { agent: question.subject.agent, owner: question.subject.owner },
    protocol: question.protocol,
    upstream: question.upstream,
    environment: question.environment,
    text: question.text,
    bindValues: question.bindValues,
    operations: question.operations.map((operation) => ({
      ...operation,
      resources: operation.resources.map((resource) => ({ ...resource })),
    })),
    rowsMax: question.rowsMax,
    copy: question.copy,
    approvalsNeeded: question.approvalsNeeded,
    ...(question.approversFrom === undefined ? {} : { approversFrom: question.approversFrom }),
    delayMs: question.delayMs,
    guards: question.guards,
    policyHash: question.policyHash,
    ...(question.steps === undefined ? {} : { steps: question.steps.map((step) => ({ ...step })) }),
    ...(question.ahead === undefined ? {} : { ahead: { ...question.ahead } }),
  }
}
