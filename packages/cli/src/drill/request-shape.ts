import { z } from 'zod'
import type { AccessRequest, Json } from '@sallyport/core'

const json: z.ZodType<Json> = z.lazy(() =>
  z.union([z.null(), z.boolean(), z.number(), z.string(), z.array(json), z.record(z.string(), json)]),
)

/** An access request as the people's API shows it to the operator. */
export const accessRequestShape: z.ZodType<AccessRequest> = z.object({
  id: z.string(),
  nonce: z.string(),
  session: z.string(),
  state: z.enum(['pending', 'approved', 'rejected', 'expired', 'cancelled']),
  createdAtMs: z.number(),
  expiresAtMs: z.number(),
  notBeforeMs: z.number().nullable(),
  endedBy: z.string().nullable(),
  approvals: z.array(
    z.object({
      person: z.string(),
      verdict: z.enum(['approve', 'reject']),
      atMs: z.number(),
      challenge: z.string(),
      credentialId: z.string(),
      evidence: json,
      reason: z.string(),
    }),
  ),
  question: z.object({
    digest: z.string(),
    subject: z.object({ agent: z.string(), owner: z.string() }),
    protocol: z.string(),
    upstream: z.string(),
    environment: z.enum(['production', 'staging', 'development']),
    text: z.string(),
    bindValues: z.array(json),
    operations: z.array(
      z.object({
        action: z.string(),
        kind: z.enum(['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown']),
        reversible: z.boolean(),
        why: z.string(),
        resources: z.array(
          z.object({ type: z.string(), name: z.string(), identity: z.string().nullable(), schemaHash: z.string().nullable() }),
        ),
        rows: z.number().nullable(),
        bytes: z.number().nullable(),
        tables: z.array(z.string()),
        dependants: z.array(z.string()),
      }),
    ),
    rowsMax: z.number().nullable(),
    copy: z.enum(['none', 'rows', 'tables', 'impossible']),
    approvalsNeeded: z.number(),
    delayMs: z.number(),
    guards: z.array(z.string()),
    policyHash: z.string(),
  }),
})
