import {
  digestJson,
  scopeText,
  visibleLine,
  type AccessAnswer,
  type AccessRequest,
  type AgentAnswer,
  type AgentDesk,
  type Clock,
  type Environment,
  type GovernSettings,
  type Grant,
  type Handle,
  type KillSwitch,
  type Log,
  type Question,
  type Randomness,
  type Requests,
  type StandingGrant,
  type WantedAccess,
} from '@sallyport/core'
import { describe } from './agent-answer.ts'
import { notGiven, openQuestion } from './opening.ts'
import { declarePlan } from './plan-desk.ts'

export interface DeskPorts {
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
  readonly requests: Requests
  readonly killSwitch: KillSwitch
  readonly standing: {
    /** Whether this request's ever began. */
    hasStood(request: string): boolean | Promise<boolean>
    /** Null: it does not stand now. */
    live(request: string): StandingGrant | null
    add(grant: StandingGrant): boolean | Promise<boolean>
    /** Null: nothing stands for that request. */
    end(request: string): StandingGrant | null | Promise<StandingGrant | null>
  }
  readonly settings: () => GovernSettings
  readonly policyHash: () => string
  /** Null: there is no upstream of this name. */
  readonly environmentOf: (upstream: string) => Environment | null
  /** Whether the agent is in the configuration now. */
  readonly isAgent: (agent: string) => boolean
  readonly requestUrl: (id: string) => string
}

/** The longest time for which scope is given without the configuration saying so. */
const durationMsMax = 24 * 3_600_000
const durationMsMin = 60_000
const reasonMax = 500
const scopesMax = 8
/** The id under which people find the rule that asks them. */
export const wideningGuard = 'widening-needs-people'
export const wideningSentence = 'Whoever gets more than the configuration says gets it from people, for a time.'

/** What agents may ask of the gate itself: how their requests stand, and for more. Nothing here approves anything. */
export function openAgentDesk(ports: DeskPorts): AgentDesk {
  return {
    inquire: (handle, request, waitMs, signal) => inquire(ports, handle, request, waitMs, signal),
    requestAccess: async (handle, wanted) => requestAccess(ports, handle, { ...wanted, reason: readReason(wanted.reason) }),
    declarePlan: (handle, plan) => declarePlan(ports, handle, plan),
  }
}

async function inquire(
  ports: DeskPorts,
  { agent }: Handle,
  id: string,
  waitMs: number,
  signal: AbortSignal,
): Promise<AgentAnswer | null> {
  const found = await ports.requests.get(id)
  if (found === null || found.question.subject.agent !== agent) return null
  const isOpen = found.state === 'pending' && found.expiresAtMs > ports.clock.nowMs()
  if (!isOpen || waitMs <= 0) return describe(ports, found)
  const leftMs = Math.min(waitMs, found.expiresAtMs - ports.clock.nowMs())
  return describe(ports, (await ports.requests.waitForVerdict(id, leftMs, signal)) ?? found)
}

async function requestAccess(ports: DeskPorts, handle: Handle, wanted: WantedAccess): Promise<AccessAnswer> {
  const killEpoch = epochOf(ports, handle, wanted)
  const upstream = checkWanted(ports, handle, wanted)
  const { requests, standing } = ports
  const { agent } = handle
  const digest = digestWanted(handle, wanted)
  const found = await requests.findByDigest(agent, digest)
  if (found !== null && !(await standing.hasStood(found.id))) {
    const grant = await requests.findGrant(agent, digest)
    if (grant !== null && grant.request === found.id && isUsable(grant, ports))
      return begin(ports, handle, wanted, { upstream, grant, killEpoch })
    if (isCurrent(found, grant, ports)) return { outcome: 'asked', request: describe(ports, found) }
  }
  const stands = found === null ? null : standing.live(found.id)
  if (stands !== null) return { outcome: 'granted', request: stands.request, expiresAtMs: stands.expiresAtMs }
  return {
    outcome: 'asked',
    request: describe(ports, await openQuestion(ports, handle, await makeQuestion(ports, handle, wanted, upstream, digest))),
  }
}

function epochOf({ killSwitch }: DeskPorts, { agent, owner }: Handle, { scopes }: WantedAccess): number {
  return killSwitch.epochOf(agent, owner, '', scopes[0]?.upstream ?? '')
}

function isUsable({ state, policyHash, notBeforeMs, expiresAtMs }: Grant, ports: DeskPorts): boolean {
  const nowMs = ports.clock.nowMs()
  return state === 'open' && policyHash === ports.policyHash() && notBeforeMs <= nowMs && expiresAtMs > nowMs
}

/** Whether what was asked before still stands: open, refused not long ago, or approved and waiting for its time. */
function isCurrent({ state, id, question, expiresAtMs }: AccessRequest, grant: Grant | null, ports: DeskPorts): boolean {
  const nowMs = ports.clock.nowMs()
  if (question.policyHash !== ports.policyHash()) return false
  if (state === 'pending' || state === 'rejected') return expiresAtMs > nowMs
  return state === 'approved' && grant !== null && grant.request === id && grant.state === 'open' && grant.expiresAtMs > nowMs
}

/** Used up durably, on the log, then in force: a stop between leaves it approved and not begun. */
async function begin(
  ports: DeskPorts,
  handle: Handle,
  wanted: WantedAccess,
  { upstream, grant, killEpoch }: { readonly upstream: string; readonly grant: Grant; readonly killEpoch: number },
): Promise<AccessAnswer> {
  const { requests, random, log, clock, standing } = ports
  const { agent, owner } = handle
  if (!(await requests.consume(grant.id, random.hex(16))))
    throw notGiven('clearance_invalid', 'It was begun by another request in the meantime.', 'Ask again.')
  const nowMs = clock.nowMs()
  const { scopes, reason, durationMs } = wanted
  const { approvers, policyHash, request } = grant
  const expiresAtMs = nowMs + durationMs
  const made = { request, agent, owner, upstream, scopes, reason, approvers, policyHash, fromMs: nowMs, expiresAtMs }
  await log.append({
    type: 'grant.standing',
    atMs: nowMs,
    agent,
    data: {
      request,
      grant: grant.id,
      handle: handle.id,
      upstream,
      scopes: scopes.map(scopeText),
      approvers,
      policyHash,
      expiresAtMs,
    },
  })
  if (!(await standing.add(made))) throw notGiven('clearance_invalid', 'It was begun before.', 'Ask again.')
  // A kill ended what stood when it was pulled; what began meanwhile was not among it.
  if (epochOf(ports, handle, wanted) !== killEpoch) {
    await standing.end(request)
    throw notGiven('killed', 'The kill switch was pulled meanwhile.', 'Wait until a person releases it.')
  }
  await requests.settle(grant.id)
  return { outcome: 'granted', request, expiresAtMs }
}

/** As for a wider configuration: two people in a team, one and the cool-off alone, and never fewer than the upstream's own group asks for. */
async function makeQuestion(
  ports: DeskPorts,
  handle: Handle,
  wanted: WantedAccess,
  upstream: string,
  digest: string,
): Promise<Question> {
  const { mode, coolOffMs, quorumOf } = ports.settings()
  const quorum = (await quorumOf?.(upstream)) ?? null
  const minutes = Math.round(wanted.durationMs / 60_000)
  return {
    digest,
    subject: { agent: handle.agent, owner: handle.owner },
    protocol: 'sallyport',
    upstream,
    environment: ports.environmentOf(upstream) ?? 'production',
    text: `${wanted.scopes.map(scopeText).join('\n')}\nfor ${minutes} minutes\n\nreason: ${wanted.reason}`,
    bindValues: [],
    operations: wanted.scopes.map((scope) => ({
      action: 'sallyport.widen_scope',
      kind: 'escalate',
      reversible: true,
      why: `For ${minutes} minutes this agent may do more than its configuration says. Guards hold all the same.`,
      resources: [{ type: 'scope', name: scopeText(scope), identity: null, schemaHash: null }],
      rows: null,
      bytes: null,
      tables: [],
      dependants: [],
    })),
    rowsMax: null,
    copy: 'none',
    approvalsNeeded: Math.max(mode === 'team' ? 2 : 1, quorum?.count ?? 1),
    ...(quorum === null ? {} : { approversFrom: quorum.group }),
    delayMs: mode === 'team' ? 0 : coolOffMs,
    guards: [wideningGuard],
    policyHash: ports.policyHash(),
  }
}

/**
 * One line of text that shows itself: with line breaks an agent could write what looks as if it asked for less, and with controls, what is not there.
 * @throws SallyportError
 */
function readReason(reason: string): string {
  const line = reason.toWellFormed().replaceAll(/\s+/g, ' ').trim()
  if (visibleLine(line) === line) return line
  throw notGiven(
    'protocol_violation',
    'The reason has characters that would not show as what they are: controls, or signs that turn the reading round.',
    'Say it in plain words, on one line.',
  )
}

function digestWanted({ agent, owner }: Handle, { scopes, durationMs, reason }: WantedAccess): string {
  return digestJson({ v: 1, purpose: 'sallyport access', agent, owner, scopes: scopes.map(scopeText), durationMs, reason })
}

/** The upstream that all of it is about. @throws SallyportError */
function checkWanted(ports: DeskPorts, handle: Handle, { scopes, durationMs, reason }: WantedAccess): string {
  if (handle.narrowing)
    throw notGiven(
      'not_in_scope',
      'A narrowed handle asks for nothing beyond itself.',
      'Ask with the handle that it was narrowed from.',
    )
  const stopped = ports.killSwitch.stopped(handle.agent, handle.owner, '', scopes[0]?.upstream ?? '')
  if (stopped !== null) throw notGiven('killed', `Stopped by the kill switch: ${stopped}.`, 'Wait until a person releases it.')
  if (!ports.isAgent(handle.agent)) throw notGiven('not_in_scope', 'This agent is no longer configured.', 'Ask its owner.')
  const [first] = scopes
  if (first === undefined || scopes.length > scopesMax)
    throw notGiven('protocol_violation', `Ask for 1 to ${scopesMax} scopes.`, 'Say what you need.')
  if (scopes.some(({ upstream }) => upstream !== first.upstream))
    throw notGiven('protocol_violation', 'One request is about one upstream.', 'Ask for each by itself.')
  if (ports.environmentOf(first.upstream) === null)
    throw notGiven('not_in_scope', 'There is no upstream of that name.', 'Ask for one that there is.')
  if (!Number.isSafeInteger(durationMs) || durationMs < durationMsMin || durationMs > durationMsMax)
    throw notGiven('protocol_violation', 'It is given for 1 minute to 24 hours.', 'Ask for a time within that.')
  if (reason === '' || reason.length > reasonMax)
    throw notGiven(
      'protocol_violation',
      `A reason of at most ${reasonMax} characters is needed: people read it.`,
      'Say what it is for.',
    )
  return first.upstream
}
