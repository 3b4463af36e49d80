import { z } from 'zod'
import { duration } from './config-value.ts'

/** Whose OIDC tokens an agent's handle is given for: jobs and services that hold no secret of ours. */

const issuer = z
  .url({ protocol: /^https$/, error: 'an issuer is an https URL, exactly as its tokens have it in `iss`' })
  .max(512)
  .refine((text) => !/[?#]|^https:\/\/[^/]*@/.test(text), 'an issuer has no query, fragment or user')

/** Audiences that other systems take as theirs, or that an issuer puts in by itself: who gets such a token could show it here. */
const foreignAudience =
  /^(https:\/\/github\.com(\/.*)?|https:\/\/kubernetes\.default(\.svc.*)?|kubernetes|api|sts\.amazonaws\.com|.*\.googleapis\.com.*|api:\/\/AzureADTokenExchange|sigstore|npm:.*|pypi)$/i
const audience = z
  .string()
  .min(1)
  .max(512)
  .refine(
    (text) => !foreignAudience.test(text),
    'an audience is this gate’s own, such as https://gate.example: other systems take this one as theirs',
  )

/** What looks like a pattern is refused, so that nobody believes that it is one. */
const exact = z
  .string()
  .min(1)
  .max(1024)
  .refine((text) => !/[*?]/.test(text), 'claims are compared exactly: there are no patterns; write each value that may be')
const claimValue = z
  .union([z.string(), z.boolean(), z.int()], { error: 'a claim is a text, a whole number, true or false' })
  .superRefine((value, context) => {
    const read = typeof value === 'string' ? exact.safeParse(value) : null
    for (const { message } of read?.error?.issues ?? []) context.addIssue({ code: 'custom', message })
  })

/** A value, or a list of those that may be. */
const list = (given: unknown): unknown => (given === undefined || Array.isArray(given) ? given : [given])

const workload = z
  .strictObject({
    issuer,
    audience,
    subject: z.preprocess(list, z.array(exact).min(1, 'at least one').max(32)),
    claims: z
      .record(
        z.string().regex(/^[A-Za-z0-9_.:/-]{1,128}$/, 'the name of a claim'),
        z.preprocess(list, z.array(claimValue).min(1, 'at least one').max(32)),
      )
      .refine((claims) => Object.keys(claims).length <= 32, 'at most 32 claims')
      .default({}),
    /** A file with the issuer's keys, for one that publishes none. Absent: by discovery. */
    keys: z.string().min(1).exactOptional(),
    /** PEM file of the authorities that may vouch for the issuer's host. */
    authorities: z.string().min(1).exactOptional(),
    /** From its making to its end, a token lives at most this long. */
    tokenLife: duration.refine((ms) => ms <= 86_400_000, 'a token that lives longer than a day is a password').prefault('1h'),
  })
  .refine(({ issuer: by, audience: to }) => by !== to, 'the audience is the issuer itself: its own tokens would do here')
export type WorkloadConfig = z.infer<typeof workload>

/** One, or a list of them. */
export const workloadsSchema = z.preprocess(list, z.array(workload).max(16, 'at most 16 workloads').default([]))
