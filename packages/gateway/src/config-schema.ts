import { z } from 'zod'
import { parseScope, watchedKinds } from '@sallyport/core'
import { approvalsSchema, breakGlassSchema, groupsSchema } from './approval-settings.ts'
import { address, duration, name, ownAddress, reference, tls } from './config-value.ts'
import { continuousSchema } from './continuous-settings.ts'
import { deliverSchema } from './deliver-config.ts'
import { expectSchema } from './expect-settings.ts'
import { demandSchema, keepSchema, keepSectionSchema } from './keep-settings.ts'
import { logSchema } from './log-settings.ts'
import { onCallSchema } from './on-call-settings.ts'
import { peopleSchema } from './people-settings.ts'
import { escalateSchema, quietHoursSchema } from './ring-settings.ts'
import { redactSchema } from './redact-settings.ts'
import { totpSchema } from './totp-settings.ts'
import { vaultPlaceSchema } from './vault-place.ts'
import { witnessesSchema } from './witness-settings.ts'
import { workloadsSchema } from './workload-settings.ts'

const scope = z.string().transform((text, context) => {
  const parsed = parseScope(text)
  if (typeof parsed !== 'string') return parsed
  context.addIssue({ code: 'custom', message: parsed })
  return z.NEVER
})

const anyUpstream = {
  environment: z
    .enum(['production', 'staging', 'development'], { error: 'environment is production, staging or development' })
    .default('production'),
  use: reference,
  protect: reference.optional(),
}

const postgresUpstream = z.strictObject({
  protocol: z.literal('postgres'),
  ...anyUpstream,
  as: z.record(name, reference).exactOptional(),
  quarantine: duration.exactOptional(),
  redact: redactSchema.exactOptional(),
  continuous: continuousSchema.exactOptional(),
  warm: z.int('a whole number').min(0).max(100).default(2),
  keep: keepSchema.exactOptional(),
})

const httpUpstream = z.strictObject({
  protocol: z.literal('http'),
  ...anyUpstream,
  connector: z.string(),
  hosts: z.array(z.string()).min(1, 'an http upstream has at least one host'),
  credential: z
    .string()
    .regex(/^[A-Za-z0-9-]+: .*\{secret\}/, 'a credential is a header such as "authorization: Bearer {secret}"')
    .default('authorization: Bearer {secret}'),
  graphql: z.array(z.string().startsWith('/')).default([]),
  dial: address.nullable().default(null),
  authorities: z.string().nullable().default(null),
  tied: z
    .strictObject({
      volume: z
        .record(z.string().regex(/^[A-Za-z0-9_-]{1,128}$/, 'a volume is named by its id, never by its name'), name)
        .default({}),
    })
    .prefault({}),
  keep: demandSchema.exactOptional(),
})

/** What sallyport.yaml may say. */
export const configSchema = z.strictObject({
  version: z.literal(1, { error: 'this version of Sallyport reads version: 1' }),
  mode: z.enum(['solo', 'team'], { error: 'mode is solo or team' }).default('solo'),
  people: peopleSchema,
  groups: groupsSchema,
  approvals: approvalsSchema,
  breakGlass: breakGlassSchema,
  totp: totpSchema.nullable().default(null),
  listen: z
    .strictObject({
      postgres: address.default({ host: '127.0.0.1', port: 6432 }),
      http: address.nullable().default(null),
      control: ownAddress.default({ host: 'localhost', port: 6480 }),
      tls: tls.nullable().default(null),
      metrics: ownAddress.nullable().default(null),
    })
    .prefault({}),
  upstreams: z.record(
    name,
    z.discriminatedUnion('protocol', [postgresUpstream, httpUpstream], { error: 'protocol is postgres or http' }),
    { error: 'upstreams is a map of names' },
  ),
  agents: z.record(
    name,
    z.strictObject({
      owner: name,
      may: z.array(scope, { error: 'may is a list such as [read orders-db]' }),
      handles: z.strictObject({ ttl: duration.prefault('8h') }).prefault({}),
      workload: workloadsSchema,
    }),
    { error: 'agents is a map of names' },
  ),
  unread: z
    .record(
      name,
      z
        .array(
          z
            .string()
            .regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'a host is written in small letters, with no port, path or *'),
        )
        .min(1),
    )
    .default({}),
  limits: z.strictObject({ rowsWithoutPrompt: z.int('a whole number').min(0).max(1_000_000).default(1000) }).prefault({}),
  coolOff: duration.prefault('15m'),
  retention: duration.prefault('7d'),
  wait: duration.prefault('20s'),
  drain: duration.prefault('5s').refine((ms) => ms <= 300_000, 'what runs may take at most 5m to end'),
  expiry: duration.prefault('1h'),
  deliver: z.record(name, deliverSchema).default({}),
  onCall: onCallSchema,
  escalate: escalateSchema,
  quietHours: quietHoursSchema,
  alarms: z
    .partialRecord(z.enum(['foreign_credential', 'canary', ...watchedKinds]), z.enum(['tell', 'kill']), {
      error: 'alarms says tell or kill of foreign_credential, canary, probing and burst',
    })
    .default({}),
  guards: z.string().default(''),
  expect: expectSchema,
  vault: vaultPlaceSchema.prefault({}),
  witnesses: witnessesSchema.prefault({}),
  log: logSchema.prefault({}),
  keep: keepSectionSchema,
  accept_risk: z.array(z.string()).default([]),
  store: reference.nullable().default(null),
})
