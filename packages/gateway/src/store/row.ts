import { z } from 'zod'
import type { AccessRequest, Approval, Grant, Handle, Json, Narrowing, Question } from '@sallyport/core'

/** What lies in the store is checked as it is read: a file on disk is input. */
const json: z.ZodType<Json> = z.lazy(() =>
  z.union([z.null(), z.boolean(), z.number(), z.string(), z.array(json), z.record(z.string(), json)]),
)

const impactKind = z.enum(['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown'])

const asked = z.object({
  action: z.string(),
  kind: impactKind,
  reversible: z.boolean(),
  why: z.string(),
  resources: z.array(
    z.object({ type: z.string(), name: z.string(), identity: z.string().nullable(), schemaHash: z.string().nullable() }),
  ),
  rows: z.number().nullable(),
  bytes: z.number().nullable(),
  tables: z.array(z.string()),
  dependants: z.array(z.string()),
})

const copy = z.enum(['none', 'rows', 'tables', 'moved', 'impossible', 'restore_point'])

const questionSchema: z.ZodType<Question> = z.object({
  digest: z.string(),
  subject: z.object({ agent: z.string(), owner: z.string() }),
  protocol: z.string(),
  upstream: z.string(),
  environment: z.enum(['production', 'staging', 'development']),
  text: z.string(),
  bindValues: z.array(json),
  operations: z.array(asked),
  rowsMax: z.number().nullable(),
  copy,
  approvalsNeeded: z.number(),
  approversFrom: z.string().exactOptional(),
  delayMs: z.number(),
  guards: z.array(z.string()),
  policyHash: z.string(),
  steps: z
    .array(
      z.object({
        request: z.string(),
        challenge: z.string(),
        protocol: z.string(),
        text: z.string(),
        bindValues: z.array(json),
        operationsCount: z.number(),
        rowsMax: z.number().nullable(),
        copy,
      }),
    )
    .exactOptional(),
  ahead: z.object({ digest: z.string(), uses: z.number(), forMs: z.number() }).exactOptional(),
})

const approvalSchema: z.ZodType<Approval> = z.object({
  person: z.string(),
  verdict: z.enum(['approve', 'reject']),
  atMs: z.number(),
  challenge: z.string(),
  credentialId: z.string(),
  evidence: json,
  reason: z.string(),
  conditions: z.object({ rowsMax: z.number().nullable(), notBeforeMs: z.number().nullable() }).exactOptional(),
  breakGlass: z.literal(true).exactOptional(),
  method: z.literal('totp').exactOptional(),
})

const requestRow = z.object({
  id: z.string(),
  nonce: z.string(),
  session: z.string(),
  state: z.enum(['pending', 'approved', 'rejected', 'expired', 'cancelled']),
  createdAtMs: z.number(),
  expiresAtMs: z.number(),
  notBeforeMs: z.number().nullable(),
  endedBy: z.string().nullable(),
  question: z.string(),
})

export function readRequest(row: unknown, approvals: readonly unknown[]): AccessRequest {
  const { question, ...rest } = requestRow.parse(row)
  const bodies = approvals.map((approval) =>
    approvalSchema.parse(JSON.parse(z.object({ body: z.string() }).parse(approval).body)),
  )
  return { ...rest, question: questionSchema.parse(JSON.parse(question)), approvals: bodies }
}

const grantRow = z.object({
  id: z.string(),
  request: z.string(),
  agent: z.string(),
  digest: z.string(),
  upstream: z.string(),
  policyHash: z.string(),
  targets: z.string(),
  rowsMax: z.number().nullable(),
  approvers: z.string(),
  notBeforeMs: z.number(),
  expiresAtMs: z.number(),
  state: z.enum(['open', 'consumed', 'void']),
  intent: z.string().nullable(),
  plan: z.string().nullable().default(null),
  settled: z.union([z.boolean(), z.int().transform((flag) => flag !== 0)]),
})

const strings = z.array(z.string())

export function readGrant(row: unknown): Grant {
  const { targets, approvers, ...rest } = grantRow.parse(row)
  return { ...rest, targets: strings.parse(JSON.parse(targets)), approvers: strings.parse(JSON.parse(approvers)) }
}

const handleRow = z.object({
  id: z.string(),
  agent: z.string(),
  owner: z.string(),
  parent: z.string().nullable(),
  issuedAtMs: z.number(),
  expiresAtMs: z.number(),
  revokedAtMs: z.number().nullable(),
  scram: z.string(),
  secretSha256: z.string(),
  narrowing: z.string().nullable(),
})
const narrowing: z.ZodType<Narrowing> = z.object({
  scopes: z.array(z.object({ kinds: z.array(impactKind), action: z.string().nullable(), upstream: z.string() })),
  act: z.array(z.string()),
  usesMax: z.number().nullable(),
})
const scram = z.object({ salt: z.string(), iterations: z.number(), storedKey: z.string(), serverKey: z.string() })

export function readHandle(row: unknown): Handle {
  const { scram: text, narrowing: narrowed, ...rest } = handleRow.parse(row)
  return {
    ...rest,
    scram: scram.parse(JSON.parse(text)),
    narrowing: narrowed === null ? null : narrowing.parse(JSON.parse(narrowed)),
  }
}

const deferralRow = z.object({
  request: z.string(),
  handle: z.string(),
  upstream: z.string(),
  about: z.string(),
  body: z.instanceof(Uint8Array),
})
const deferralAbout = z.object({
  origin: z.object({ scheme: z.enum(['http', 'https']), host: z.string(), port: z.number() }),
  method: z.string(),
  target: z.string(),
  headers: z.array(z.tuple([z.string(), z.string()])),
  contentType: z.string(),
  contentCodings: z.array(z.string()),
})

/** An HTTP request that waits for its time, as it would be forwarded. */
export type DeferralRow = Omit<z.infer<typeof deferralRow>, 'about' | 'body'> &
  Pick<z.infer<typeof deferralAbout>, 'origin' | 'contentType'> & {
    readonly contentCodings: readonly string[]
    readonly message: {
      readonly method: string
      readonly target: string
      readonly headers: readonly (readonly [string, string])[]
      readonly body: Buffer
    }
  }

export function readDeferral(row: unknown): DeferralRow {
  const { request, handle, upstream, about, body } = deferralRow.parse(row)
  const { origin, method, target, headers, contentType, contentCodings } = deferralAbout.parse(JSON.parse(about))
  const message = { method, target, headers, body: Buffer.from(body) }
  return { request, handle, upstream, origin, message, contentType, contentCodings }
}
