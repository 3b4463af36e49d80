import { acceptedAttestationShape, findAttestationWidenings } from './attestation-settings.ts'
import { acceptedApprovalsOf, acceptedApprovalsShape, findApprovalWidenings } from './approval-settings.ts'
import { findWitnessWidenings, witnessesSchema } from './witness-settings.ts'
import {
  canonicalJson,
  digestJson,
  foldPerson,
  impactKinds,
  SallyportError,
  scopeText,
  visibleLine,
  type Json,
} from '@sallyport/core'
import { z } from 'zod'
import type { Config } from './config.ts'
import { acceptedContinuousOf, acceptedContinuousShape, findContinuousWidenings } from './continuous-settings.ts'
import { acceptedKeepOf, acceptedKeepSchema, findKeepWidenings } from './keep-settings.ts'
import { acceptedLogOf, acceptedLogShape, findLogWidenings } from './log-settings.ts'
import { acceptedRedactOf, acceptedRedactShape, findRedactWidenings } from './redact-settings.ts'
import { acceptedTotpShape, findTotpWidenings } from './totp-settings.ts'
import { acceptedPlaceOf, findPlaceWidenings } from './vault-place.ts'

/**
 * What of a configuration gives power (DESIGN §6: widening needs a person; the file on disk only proposes). Kept in the store as accepted, so
 * that a file which somebody else widened meanwhile does not take effect by a restart.
 */
const acceptedShape = z.strictObject({
  v: z.literal(1),
  mode: z.enum(['solo', 'team']),
  coolOffMs: z.number(),
  rowsWithoutPrompt: z.number(),
  retainMs: z.number(),
  requestMs: z.number(),
  guards: z.string(),
  acceptRisk: z.array(z.string()),
  /** Hosts that agents' listeners are bound to. */
  hosts: z.array(z.string()),
  /** By name: the environment, and everything else of it as canonical JSON. */
  /** The people's identity provider, as canonical JSON; empty: none. */
  oidc: z.string().default(''),
  upstreams: z.record(z.string(), z.strictObject({ environment: z.string(), rest: z.string() })),
  /** Hosts that are passed on unread, by name. */
  unread: z.record(z.string(), z.array(z.string())).default({}),
  /** Who is told what happens, by name, as canonical JSON. */
  deliver: z.record(z.string(), z.string()).default({}),
  /** Absent: passkeys of every model are let in. */
  attestation: acceptedAttestationShape.exactOptional(),
  /** Absent: one-time codes approve nothing. */
  totp: acceptedTotpShape.exactOptional(),
  /** Absent in what was accepted before there was such a setting: the folder alone. */
  vault: z
    .strictObject({ places: z.array(z.string()), recovery: z.array(z.string()) })
    .default({ places: ['the folder'], recovery: [] }),
  witnesses: witnessesSchema.prefault({}),
  log: acceptedLogShape.default({ forMs: 0, drops: false }),
  continuous: acceptedContinuousShape.default({}),
  redact: acceptedRedactShape.default({}),
  /** What is kept whole, how often, and what is demanded of it. */
  keep: acceptedKeepSchema.default({}),
  /** Whose approvals count, by upstream. */
  approvals: acceptedApprovalsShape.default({}),
  /** People who may break glass. */
  breakGlass: z.array(z.string()).default([]),
  /** Kinds of alarm that stop an agent. */
  stoppingAlarms: z.array(z.string()).default([]),
  agents: z.record(
    z.string(),
    z.strictObject({
      owner: z.string(),
      handleMs: z.number(),
      scopes: z.array(z.string()),
      /** Whose tokens its handles are given for, as canonical JSON. */
      workloads: z.array(z.string()).default([]),
    }),
  ),
})
export type Accepted = z.infer<typeof acceptedShape>

export function acceptedOf(config: Config): Accepted {
  const { mode, coolOffMs, rowsWithoutPrompt, retainMs, requestMs, guards, acceptRisk, listen } = config
  const upstreams = new Map(
    config.upstreams.map(({ name, environment, ...rest }) => [name, { environment, rest: canonicalJson(toJson(powerOf(rest))) }]),
  )
  const agents = new Map(
    config.agents.map(({ name, owner, handleMs, scopes, workloads }) => [
      name,
      {
        owner,
        handleMs,
        scopes: scopes.map((scope) => canonicalJson(toJson(scope))),
        workloads: workloads.map((one) => canonicalJson(toJson(one))),
      },
    ]),
  )
  return acceptedShape.parse({
    v: 1,
    mode,
    coolOffMs,
    rowsWithoutPrompt,
    retainMs,
    requestMs,
    guards,
    acceptRisk,
    oidc: config.oidc === null ? '' : canonicalJson(toJson(config.oidc)),
    hosts: [listen.postgres.host, ...(listen.http === null ? [] : [listen.http.host])],
    upstreams: Object.fromEntries(upstreams),
    unread: config.unread,
    deliver: Object.fromEntries(Object.entries(config.deliver).map(([name, one]) => [name, canonicalJson(toJson(one))])),
    ...(config.attestation !== null && { attestation: config.attestation }),
    ...(config.totp !== null && { totp: config.totp }),
    vault: acceptedPlaceOf(config.vault),
    witnesses: config.witnesses,
    log: acceptedLogOf(config.log),
    continuous: acceptedContinuousOf(config),
    redact: acceptedRedactOf(config),
    keep: acceptedKeepOf(config),
    approvals: acceptedApprovalsOf(config),
    breakGlass: [...new Set(config.breakGlass.map(foldPerson))].toSorted(),
    stoppingAlarms: [...config.stoppingAlarms].toSorted(),
    agents: Object.fromEntries(agents),
  })
}

/** Connections kept ready give nobody more than connections made when they are needed. How it is kept and protected is looked at by itself. */
function powerOf(rest: object): object {
  return { ...rest, warm: undefined, keep: undefined, continuous: undefined, redact: undefined }
}

const json: z.ZodType<Json> = z.json()

function toJson(value: unknown): Json {
  return json.parse(JSON.parse(JSON.stringify(value)))
}

/** A policy's hash over everything that decides, not over guards and scope alone: a change of it voids what people approved. */
export function hashDecisive(policyHash: string, accepted: Accepted): string {
  return digestJson({ policy: policyHash, accepted: toJson(accepted) })
}

/** The digest of everything that gives power in a configuration: comments, order and waits are not in it. */
export function digestAccepted(accepted: Accepted): string {
  return digestJson(toJson(accepted))
}

/** What of `after` goes beyond `before`, a line each, sorted. Empty: it only narrows, or is the same. */
export function findWidenings(before: Accepted, after: Accepted): readonly string[] {
  const found: string[] = []
  if (before.mode === 'team' && after.mode === 'solo') found.push('mode: team became solo, so owners approve alone')
  if (after.coolOffMs < before.coolOffMs) found.push(`coolOff: from ${before.coolOffMs / 1000} s to ${after.coolOffMs / 1000} s`)
  if (after.rowsWithoutPrompt > before.rowsWithoutPrompt)
    found.push(`limits.rowsWithoutPrompt: from ${before.rowsWithoutPrompt} to ${after.rowsWithoutPrompt}`)
  if (after.retainMs < before.retainMs) found.push('retention: copies are kept for less long')
  if (after.requestMs > before.requestMs) found.push('expiry: questions stay open for longer')
  if (after.guards !== before.guards) found.push('guards: the text of further guards is another')
  for (const risk of after.acceptRisk)
    if (!before.acceptRisk.includes(risk)) found.push(`accept_risk: ${visibleLine(risk.slice(0, 64))} was added`)
  for (const person of after.breakGlass)
    if (!before.breakGlass.includes(person)) found.push(`breakGlass: ${visibleLine(person)} may approve alone, with a delay`)
  found.push(...findApprovalWidenings(before.approvals, after.approvals))
  found.push(...findAttestationWidenings(before.attestation, after.attestation), ...findTotpWidenings(before.totp, after.totp))
  found.push(...findWitnessWidenings(before.witnesses, after.witnesses), ...findLogWidenings(before.log, after.log))
  found.push(...findPlaceWidenings(before.vault, after.vault), ...findKeepWidenings(before.keep, after.keep))
  found.push(...findContinuousWidenings(before.continuous, after.continuous, Object.keys(after.upstreams)))
  if (after.oidc !== '' && after.oidc !== before.oidc) found.push('people: who signs in by an account is decided elsewhere')
  found.push(...findRedactWidenings(before.redact, after.redact))
  for (const host of after.hosts) if (!before.hosts.includes(host)) found.push(`listen: agents are heard on ${host}`)
  for (const [name, hosts] of Object.entries(after.unread))
    for (const host of hosts)
      if (!entryOf(before.unread, name)?.includes(host)) found.push(`unread: ${host} is let through unread as ${name}`)
  for (const [name, upstream] of Object.entries(after.upstreams)) {
    const known = entryOf(before.upstreams, name)
    if (known === null) found.push(`upstreams: ${name} was added`)
    else if (known.rest !== upstream.rest) found.push(`upstreams: ${name} leads elsewhere, or with other credentials`)
    if (known !== null && known.environment !== upstream.environment && upstream.environment !== 'production')
      found.push(`upstreams: ${name} became ${upstream.environment}, where fewer guards hold`)
  }
  for (const kind of before.stoppingAlarms)
    if (!after.stoppingAlarms.includes(kind)) found.push(`alarms: ${kind} stops its agent no longer`)
  for (const [name, one] of Object.entries(after.deliver))
    if (entryOf(before.deliver, name) !== one) found.push(`deliver: ${name} is told what happens, or is told it elsewhere`)
  for (const [name, agent] of Object.entries(after.agents)) {
    const known = entryOf(before.agents, name)
    if (known === null) {
      found.push(`agents: ${name} was added`)
      continue
    }
    if (known.owner !== agent.owner) found.push(`agents: ${name} has another owner, so others may approve what it asks`)
    if (agent.handleMs > known.handleMs) found.push(`agents: handles of ${name} live longer`)
    const more = agent.scopes.filter((scope) => !known.scopes.includes(scope)).map(sayScope)
    if (more.length > 0) found.push(`agents: ${name} may do more: ${more.join(', ')}`)
    if (agent.workloads.some((one) => !known.workloads.includes(one)))
      found.push(`agents: ${name} gets handles for tokens that it did not get them for`)
  }
  return found.toSorted()
}

const scopeShape = z.object({ kinds: z.array(z.enum(impactKinds)), action: z.string().nullable(), upstream: z.string() })

/** As the file has it. What was accepted by a version that kept it otherwise is shown as it was kept. */
function sayScope(kept: string): string {
  const scope = scopeShape.safeParse(JSON.parse(kept))
  return scope.success ? scopeText(scope.data) : kept
}

function entryOf<Entry>(entries: Readonly<Record<string, Entry>>, name: string): Entry | null {
  return Object.hasOwn(entries, name) ? (entries[name] ?? null) : null
}

/** Lines of one event on the log, and of one refusal. */
export const widenedLinesMax = 50

/**
 * The widenings that whoever starts the gate has accepted, where nobody is enrolled whom the gate could ask.
 * @throws SallyportError `refused_by_guard` when there are some and nobody said so
 * @param stored what was accepted last, as JSON; null at the first start, where the whole configuration is the operator's
 */
export function admitConfiguration(stored: string | null, after: Accepted, isAccepted: boolean): readonly string[] {
  if (stored === null) return []
  const before = readAccepted(stored)
  const found = before === null ? ['what was accepted last cannot be read'] : findWidenings(before, after)
  const widenings = found.slice(0, widenedLinesMax)
  if (widenings.length === 0 || isAccepted) return widenings
  throw new SallyportError(
    'refused_by_guard',
    `The configuration gives more than what this gate last ran with:\n${widenings.map((line) => `  - ${line}`).join('\n')}\n`,
    'Nothing is listening; an agent that can write that file may have done it.',
    'If you want this, start once with --accept-configuration; if not, put the file back.',
  )
}

export function readAccepted(text: string): Accepted | null {
  try {
    return acceptedShape.parse(JSON.parse(text))
  } catch {
    return null
  }
}
