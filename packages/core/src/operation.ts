import { canonicalJson, isKeptCanonical, keepCanonical, sha256Hex, type Json } from './canonical.ts'
import type { Impact } from './impact.ts'

/** production is what absent means (DESIGN §2). */
export type Environment = 'production' | 'staging' | 'development'

/** One thing an operation touches. `identity` is what the upstream itself calls it for good (an oid, a provider id). */
export interface Resource {
  /** `table`, `schema`, `database`, `role`, `setting`, … in the connector's words. */
  readonly type: string
  /** As written by the agent, or fully qualified once resolved. */
  readonly name: string
  /** Filled by resolve; absent until then. */
  readonly identity?: string
  /** Filled by resolve: hash over what the thing looks like (columns, constraints, triggers). */
  readonly schemaHash?: string
}

/** One thing an agent wants done. */
export interface Operation {
  /** `connector.operation`, for instance `postgres.drop_table`. Lower case, `[a-z0-9_]` after the dot, or a provider's own name. */
  readonly action: string
  readonly resources: readonly Resource[]
  readonly impact: Impact
  /** One sentence a person reads: why it has this impact. */
  readonly why: string
  /** Facts for policy and for the connector's own later steps: JSON, never a secret. */
  readonly context: { readonly [key: string]: Json }
}

/** Whether and how a copy of what an operation would lose can be made. Resolve fills it. */
export type CopyPlan =
  /** Nothing is lost. */
  | { readonly kind: 'none' }
  /** The rows that will change, sealed before they change; undo puts them back. */
  | { readonly kind: 'rows'; readonly rowsEstimate: number }
  /** Whole tables under lock, restored to scratch and compared. */
  | { readonly kind: 'tables'; readonly tables: readonly string[]; readonly bytesEstimate: number }
  /** Nothing of it is copied: the thing itself is moved out of reach and kept for a time. Undo moves it back until then. */
  | { readonly kind: 'moved'; readonly bytesEstimate: number }
  | {
      readonly kind: 'impossible'
      readonly reason: string
      readonly remedy: string
      /** True: all that it would lose is in the server's WAL, so a restore point before it is enough to have it again. */
      readonly inWal?: boolean
    }

/** An operation after resolve: names are identities, the scope is measured. */
export interface ResolvedOperation extends Operation {
  readonly copy: CopyPlan
  /** True when every resource was created by this very session and dies with it (a temporary table). */
  readonly temporary?: boolean
}

export interface Subject {
  /** The agent's name. */
  readonly agent: string
  /** The person or team it acts for. */
  readonly owner: string
}

/** What exactly would be forwarded: everything an approval must bind to and nothing that differs between two identical tries. */
export interface Payload {
  readonly protocol: string
  /** Name in our configuration. */
  readonly upstream: string
  /** What the upstream itself is: system identifier and database oid, account id. */
  readonly upstreamIdentity: string
  /** SHA-256 of the exact bytes to be forwarded, hex. */
  readonly bytesSha256: string
  /** Bind values as sent, base64 or null, with their type and format where the wire names them. */
  readonly bindValues: readonly Json[]
  /** Settings of the session that change what the bytes mean: role, search_path, … */
  readonly settings: { readonly [name: string]: string }
  /** A change the gate makes to what the agent sent, shown as such. Absent: forwarded as is. */
  readonly rewrite?: string
}

/** One request by an agent: one or more operations that run together or not at all as far as the gate can see. */
export interface Request {
  readonly digest: string
  readonly session: string
  readonly subject: Subject
  readonly payload: Payload
  readonly operations: readonly ResolvedOperation[]
}

/** The digest that approvals and grants bind to (DESIGN §2): not session, connection or time. */
export function digestRequest(subject: Subject, payload: Payload, operations: readonly ResolvedOperation[]): string {
  const { agent, owner } = subject
  const { bindValues, bytesSha256 } = payload
  // One object in canonical JSON, of which what differs from run to run stands first.
  const head = canonicalJson({ agent, bindValues, bytesSha256 })
  return sha256Hex(`${head.slice(0, -1)},${lastingPart(owner, payload, operations)}`)
}

interface Lasting extends Pick<Payload, 'protocol' | 'upstream' | 'upstreamIdentity' | 'settings'> {
  readonly owner: string
  readonly rewrite: string | null
  readonly text: string
}

const lasting = new WeakMap<readonly ResolvedOperation[], Lasting>()

/** The rest of that object: made once for operations that come back with every run of a plain statement, as long as nothing in it is another one. */
function lastingPart(owner: string, payload: Payload, operations: readonly ResolvedOperation[]): string {
  const { protocol, upstream, upstreamIdentity, settings, rewrite = null } = payload
  const known = lasting.get(operations)
  if (
    known !== undefined &&
    known.owner === owner &&
    known.protocol === protocol &&
    known.upstream === upstream &&
    known.upstreamIdentity === upstreamIdentity &&
    known.settings === settings &&
    known.rewrite === rewrite
  )
    return known.text
  const text = canonicalJson({
    operations: digestedPart(operations),
    owner,
    protocol,
    rewrite,
    settings,
    upstream,
    upstreamIdentity,
    v: 1,
  }).slice(1)
  // Settings that somebody could change in place are read each time.
  if (isKeptCanonical(settings)) lasting.set(operations, { owner, protocol, upstream, upstreamIdentity, settings, rewrite, text })
  return text
}

const digested = new WeakMap<readonly ResolvedOperation[], readonly Json[]>()

/** Operations do not change once they are resolved; those of a remembered write come back with every statement. */
function digestedPart(operations: readonly ResolvedOperation[]): readonly Json[] {
  const known = digested.get(operations)
  if (known !== undefined) return known
  const part = operations.map((operation) => ({
    action: operation.action,
    resources: operation.resources.map(({ type, name, identity }) => ({ type, name, identity: identity ?? null })),
  }))
  digested.set(operations, keepCanonical(part))
  return part
}

/** What is all there is to say where nothing can be looked up: what destroys cannot be copied. */
export function withoutCopy(operation: Operation): ResolvedOperation {
  if (operation.impact.kind !== 'destroy') return { ...operation, copy: { kind: 'none' } }
  const [reason, remedy] = ['this connector knows no copy of it', 'Use an upstream whose connector can copy.']
  return { ...operation, copy: { kind: 'impossible', reason, remedy } }
}
