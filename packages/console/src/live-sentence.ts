import type { Event, Json } from '@sallyport/core'
import { z } from 'zod'
import { formatAmount, formatBytes, formatDuration, formatInstant } from './time-words.ts'
import { glanceText } from './words.ts'

/** Agents' own text in a sentence, characters. */
const textCharacters = 160

const operations = z.array(
  z.object({ action: z.string(), kind: z.string(), resources: z.array(z.object({ name: z.string() })).default([]) }),
)
const names = z.array(z.string())

/** A fact in words, for those whose facts have their own sentence; null where the facts are shown as they are. */
export function sentenceOf(event: Event): string | null {
  const write = writers.get(event.type)
  return write === undefined ? null : write(event.data, event.agent ?? 'an agent')
}

type Writer = (data: Event['data'], agent: string) => string | null

/** A writer whose facts must have this shape; of another shape they are shown as they are. */
function writer<Shape>(shape: z.ZodType<Shape>, write: (facts: Shape, agent: string) => string): Writer {
  return (data, agent) => {
    const facts = shape.safeParse(data)
    return facts.success ? write(facts.data, agent) : null
  }
}

const by = z.object({ request: z.string(), by: z.string() })
const refusedDoor = z.object({ protocol: z.string(), peer: z.string(), why: z.string(), claimed: z.string().default('') })

const rung = z.object({ receivers: names, step: z.number(), steps: z.number(), why: z.string(), waitedMs: z.number() })

function sayRung({ receivers, step, steps, why, waitedMs }: z.infer<typeof rung>): string {
  const place = `${receivers.join(', ')} rung (${step} of ${steps})`
  if (why === 'asked') return `${place}.`
  const waited = formatDuration(waitedMs)
  return why === 'unanswered' ? `${place}: nobody answered for ${waited}.` : `${place}: quiet hours are over, after ${waited}.`
}

const sayForeign = writer(
  z.object({
    kind: z.literal('foreign_credential'),
    place: z.string(),
    shape: z.string(),
    host: z.string().optional(),
    upstream: z.string().default('an upstream'),
  }),
  ({ place, shape, host, upstream }, agent) =>
    `${agent} sent a credential that Sallyport did not issue to ${host ?? upstream} (${shape}, in ${place}). It went nowhere.`,
)
const sayCanary = writer(
  z.object({ kind: z.literal('canary'), place: z.string(), file: z.string() }),
  ({ place, file }, agent) =>
    `${agent === '' ? 'Somebody' : agent} used the token that was planted in ${file}: whoever it is reads files that are none of theirs (in ${place}). It went nowhere.`,
)

const sayTampering = writer(
  z.object({ kind: z.literal('vault_tampering'), place: z.string(), name: z.string(), what: z.string(), times: z.number() }),
  ({ place, name, what, times }) =>
    joinFacts([
      `Somebody tried to get at the copies in ${glanceText(place, textCharacters)}: ${glanceText(name, textCharacters)}.`,
      glanceText(what, textCharacters),
      times > 1 ? `${times} times by now.` : '',
    ]),
)
const sayTry = writer(
  z.object({ kind: z.literal('control_refused'), method: z.string(), path: z.string(), by: z.string() }),
  ({ method, path, by: who }) => `${who} asked for ${glanceText(`${method} ${path}`, textCharacters)}, which does not exist.`,
)

const sayConfiguration = writer(z.object({ mode: z.string(), guards: names, widened: names }), ({ mode, guards, widened }) =>
  joinFacts([
    `${mode === 'solo' ? 'Solo' : 'Team'} mode, ${formatAmount(guards.length, 'guard')}.`,
    widened.length === 0 ? '' : `It gives more than the one before: ${widened.join('; ')}.`,
  ]),
)
const sayProposal = writer(
  z.object({ widenings: names }),
  ({ widenings }) => `The file gives more than what is in force: ${widenings.join('; ')}. People decide.`,
)
const sayAcceptance = writer(
  z.object({ by: z.string(), missing: z.number(), notBeforeMs: z.number().nullable() }),
  ({ by, missing, notBeforeMs }) =>
    notBeforeMs === null
      ? `${by} accepted the wider configuration; ${formatAmount(missing, 'person', 'people')} more must.`
      : `${by} accepted the wider configuration: a start from ${formatInstant(notBeforeMs)} on takes it over.`,
)
const sayWithdrawal = writer(z.object({ by: z.string() }), ({ by }) => `${by} withdrew the wider configuration.`)
const sayRemoval = writer(z.object({ person: z.string(), by: z.string(), cancelled: names }), ({ person, by, cancelled }) =>
  joinFacts([
    `${by} removed ${person === by ? 'themselves' : person}.`,
    cancelled.length === 0 ? '' : `${formatAmount(cancelled.length, 'approved request')} cancelled.`,
  ]),
)
const sayPasskey = writer(
  z.object({ person: z.string(), name: z.string() }),
  ({ person, name }) => `${person} added a passkey: ${name}.`,
)
const sayCode = (what: string): Writer => writer(z.object({ person: z.string() }), ({ person }) => `${person} ${what}.`)
const invitationWords = {
  invitation: 'made an invitation',
  'invitation confirmed': 'confirmed an invitation',
  'invitation withdrawn': 'withdrew an invitation',
} as const
const sayInvitation = writer(
  z.object({ what: z.enum(['invitation', 'invitation confirmed', 'invitation withdrawn']), by: z.string() }),
  ({ what, by: who }) => `${who} ${invitationWords[what]}.`,
)

const writers: ReadonlyMap<Event['type'], Writer> = new Map<Event['type'], Writer>([
  [
    'gate.started',
    writer(z.object({ unknown: names, givenBack: names, applied: names }), ({ unknown, givenBack, applied }) =>
      joinFacts([
        'The gate is listening.',
        unknown.length === 0 ? '' : `Of ${formatAmount(unknown.length, 'operation')} before it, nobody knows whether they ran.`,
        givenBack.length === 0 ? '' : `${formatAmount(givenBack.length, 'unused approval')} given back.`,
        applied.length === 0 ? '' : `${formatAmount(applied.length, 'verdict')} from before the stop applied.`,
      ]),
    ),
  ],
  ['person.removed', sayRemoval],
  [
    'removal.confirmed',
    writer(
      z.object({ person: z.string(), by: z.string() }),
      ({ person, by }) => `${by} confirmed that ${person} is removed: it is for good.`,
    ),
  ],
  [
    'person.restored',
    writer(
      z.object({ person: z.string(), by: z.string() }),
      ({ person, by }) => `${by} took back the removal of ${person}, who can approve again.`,
    ),
  ],
  [
    'person.connected',
    writer(
      z.object({ person: z.string(), issuer: z.string(), subject: z.string() }),
      ({ person, issuer, subject }) =>
        `${person} connected the account ${subject} of ${issuer}: it shows them pages, and decides nothing.`,
    ),
  ],
  ['passkey.added', sayPasskey],
  ['code.added', sayCode('set up an app of one-time codes')],
  ['code.removed', sayCode('removed their app of one-time codes')],
  ['configuration.proposed', sayProposal],
  ['configuration.accepted', sayAcceptance],
  ['configuration.withdrawn', sayWithdrawal],
  ['configuration.applied', (data, agent) => sayConfiguration(data, agent) ?? sayInvitation(data, agent)],
  ['person.enrolled', writer(z.object({ person: z.string() }), ({ person }) => `${person} can approve from now on.`)],
  [
    'handle.narrowed',
    writer(
      z.object({ act: z.array(z.string()), sub: z.string(), scopes: z.array(z.string()), expiresAtMs: z.number() }),
      ({ act, sub, scopes, expiresAtMs }) =>
        `${act.slice(0, -1).join(' → ')} (for ${sub}) gave ${act.at(-1) ?? 'nobody'} a handle for ${scopes.join(', ')}, good until ${formatInstant(expiresAtMs)}.`,
    ),
  ],
  [
    'grant.standing',
    writer(
      z.object({ upstream: z.string(), scopes: z.array(z.string()), approvers: z.array(z.string()), expiresAtMs: z.number() }),
      ({ scopes, approvers, expiresAtMs }, agent) =>
        `${agent} may ${scopes.join(', ')} until ${formatInstant(expiresAtMs)}, as ${approvers.join(' and ')} approved.`,
    ),
  ],
  [
    'glass.reviewed',
    writer(
      z.object({ person: z.string(), by: z.string() }),
      ({ person, by }) => `${by} looked at what ${person} broke glass for.`,
    ),
  ],
  [
    'grant.ended',
    writer(z.object({ by: z.string() }), ({ by }, agent) => `What ${agent} was given for a time was ended by ${by}.`),
  ],
  [
    'handle.rotated',
    writer(
      z.object({ by: z.string(), oldEndsAtMs: z.number() }),
      ({ by, oldEndsAtMs }, agent) =>
        `${by} gave a handle of ${agent} a new secret; the old one ends at ${formatInstant(oldEndsAtMs)}.`,
    ),
  ],
  [
    'handle.issued',
    writer(
      z.object({ handle: z.string(), owner: z.string(), by: z.string(), expiresAtMs: z.number() }),
      ({ owner, by: issuer, expiresAtMs }, agent) =>
        `${agent} (for ${owner}) got a handle from ${issuer}, good until ${formatInstant(expiresAtMs)}.`,
    ),
  ],
  [
    'handle.revoked',
    writer(z.object({ handle: z.string(), by: z.string() }), (facts) => `Handle ${facts.handle} was ended by ${facts.by}.`),
  ],
  [
    'door.refused',
    writer(refusedDoor, ({ protocol, peer, why, claimed }, agent) => {
      const who = claimed === '' ? agent : claimed
      return `${who}, by ${protocol} from ${peer}: ${why}`
    }),
  ],
  [
    'session.opened',
    writer(
      z.object({ owner: z.string(), protocol: z.string(), upstream: z.string(), peer: z.string() }),
      ({ owner, protocol, upstream, peer }, agent) => `${agent} (for ${owner}) is on ${upstream}, by ${protocol} from ${peer}.`,
    ),
  ],
  ['session.closed', writer(z.object({ reason: z.string() }), ({ reason }, agent) => `${agent}: ${reason}`)],
  [
    'statement',
    writer(
      z.object({ text: z.string(), operations }),
      (facts, agent) => `${agent}: ${nameOperations(facts.operations)}. ${quote(facts.text)}`,
    ),
  ],
  [
    'reads',
    writer(z.object({ reads: z.array(z.object({ count: z.number() })) }), ({ reads }) => {
      const count = reads.reduce((sum, each) => sum + each.count, 0)
      return `${formatAmount(count, 'read')} let through.`
    }),
  ],
  [
    'decision',
    writer(
      z.object({ outcome: z.literal('deny'), why: z.string(), text: z.string(), operations }),
      ({ why, text, operations: asked }, agent) => `${agent} was refused: ${why} ${nameOperations(asked)}. ${quote(text)}`,
    ),
  ],
  [
    'request.opened',
    writer(
      z.object({ request: z.string(), question: z.object({ text: z.string(), upstream: z.string(), operations }) }),
      ({ question }, agent) =>
        `${agent} asks for ${nameOperations(question.operations)} on ${question.upstream}. ${quote(question.text)}`,
    ),
  ],
  [
    'request.approved',
    writer(
      z.object({ approvers: names, notBeforeMs: z.number() }),
      ({ approvers, notBeforeMs }, agent) =>
        `${approvers.join(' and ')} approved what ${agent} asked for. It may run from ${formatInstant(notBeforeMs)}.`,
    ),
  ],
  ['request.rejected', writer(by, (facts) => `${facts.by} rejected it. It will not run.`)],
  ['request.cancelled', writer(by, (facts) => `${facts.by} cancelled it. It will not run.`)],
  ['request.expired', () => 'Nobody answered in time, which is a no.'],
  ['request.rung', writer(rung, sayRung)],
  [
    'request.held',
    writer(
      z.object({ receivers: names, untilMs: z.number() }),
      ({ receivers, untilMs }) => `${receivers.join(', ')} not rung before ${formatInstant(untilMs)}: quiet hours.`,
    ),
  ],
  [
    'verdict',
    writer(
      z.object({
        approval: z.object({ person: z.string(), verdict: z.string(), reason: z.string(), method: z.string().optional() }),
      }),
      ({ approval: { person, verdict, reason, method } }, agent) =>
        `${person} says ${verdict === 'approve' ? 'yes' : 'no'} to ${agent}${method === 'totp' ? ' by a one-time code, which signs nothing' : ''}${reason === '' ? '.' : `: ${quote(reason)}`}`,
    ),
  ],
  ['verdict.refused', writer(z.object({ person: z.string(), why: z.string() }), ({ person, why }) => `Of ${person}: ${why}`)],
  [
    'grant.void',
    writer(z.object({ why: z.string() }), ({ why }, agent) => `What people approved for ${agent} no longer counts: ${why}.`),
  ],
  [
    'snapshot.expired',
    writer(
      z.object({ snapshot: z.string(), upstream: z.string() }),
      ({ snapshot, upstream }) =>
        `Copy ${snapshot.slice(0, 12)} of ${upstream}: its retention had ended, and the vault let it go.`,
    ),
  ],
  [
    'snapshot.sealed',
    writer(
      z.object({ snapshot: z.string(), rows: z.number(), bytes: z.number() }),
      ({ snapshot, rows, bytes }) =>
        `${formatAmount(rows, 'row')}, ${formatBytes(bytes)}, proven, in the vault as ${snapshot.slice(0, 12)}.`,
    ),
  ],
  [
    'snapshot.failed',
    writer(z.object({ code: z.string() }), ({ code }, agent) => `No copy for ${agent} could be made (${code}), so nothing ran.`),
  ],
  [
    'intent',
    writer(
      z.object({ text: z.string(), operations }),
      (facts, agent) => `${agent}: ${nameOperations(facts.operations)}. ${quote(facts.text)}`,
    ),
  ],
  [
    'outcome',
    writer(
      z.object({ result: z.string(), detail: z.string().default(''), rows: z.number().nullish() }),
      ({ result, detail, rows }, agent) =>
        joinFacts([
          `${agent}: ${result}.`,
          rows === null || rows === undefined ? '' : `${formatAmount(rows, 'row')}.`,
          detail === '' ? '' : detail,
        ]),
    ),
  ],
  [
    'undo',
    writer(
      z.object({ rows: z.number(), tables: names, verified: z.boolean(), note: z.string() }),
      ({ rows, tables, verified, note }) =>
        joinFacts([
          `${formatAmount(rows, 'row')} in ${formatAmount(tables.length, 'table')} put back, ${verified ? 'every checksum equal' : 'not verified'}.`,
          note,
        ]),
    ),
  ],
  ...(['quarantine.purge', 'quarantine.purged', 'quarantine.kept'] as const).map(
    (type) =>
      [
        type,
        writer(z.object({ upstream: z.string(), things: names, why: z.string().default('') }), ({ upstream, things, why }) =>
          joinFacts([`${things.join(', ')} of ${upstream}.`, why]),
        ),
      ] as const,
  ),
  [
    'delivery.failed',
    writer(z.object({ receiver: z.string(), why: z.string(), lost: z.array(z.number()) }), ({ receiver, why, lost }) =>
      joinFacts([
        `${receiver} could not be told: ${why}.`,
        lost.length === 0 ? 'It is tried again.' : `${formatAmount(lost.length, 'event')} will not be told there.`,
      ]),
    ),
  ],
  [
    'delivery.recovered',
    writer(z.object({ receiver: z.string() }), ({ receiver }) => `${receiver} is told again, and of what it missed.`),
  ],
  [
    'kill',
    writer(
      z.object({ kind: z.string(), name: z.string(), reason: z.string(), by: z.string(), sessions: z.number().default(0) }),
      ({ kind, name, reason, by: who, sessions }) =>
        `${kind === 'all' ? 'Everything' : `${kind} ${name}`} stopped by ${who}: ${quote(reason)} ${formatAmount(sessions, 'session')} ended.`,
    ),
  ],
  [
    'release',
    writer(
      z.object({ kind: z.string(), name: z.string() }),
      ({ kind, name }) => `${kind === 'all' ? 'Everything' : `${kind} ${name}`} may run again.`,
    ),
  ],
  [
    'alarm',
    (data, agent) => sayForeign(data, agent) ?? sayCanary(data, agent) ?? sayTampering(data, agent) ?? sayTry(data, agent),
  ],
])

function joinFacts(parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(' ')
}

function nameOperations(list: z.infer<typeof operations>): string {
  return list
    .map(
      ({ action, kind, resources }) =>
        `${[action, resources.map(({ name }) => name).join(', ')].filter(Boolean).join(' ')} (${kind})`,
    )
    .join('; ')
}

/** Hostile text in marks, on one line, and cut with the cut said. */
function quote(text: string): string {
  return `“${glanceText(text, textCharacters)}”`
}

/** Whether what came of it wants a second look. */
export function isTroubling({ type, data }: Event): boolean {
  const of = (key: string): Json | undefined => data[key]
  return (type === 'outcome' && of('result') !== 'succeeded') || (type === 'decision' && of('outcome') === 'deny')
}
