import { gatePeer, SallyportError, type Cleared, type Gate, type OpenSession } from '@sallyport/core'
import { makeAsked, isGraphqlTarget } from './asked.ts'
import { openBody } from './body.ts'
import type { Deferral, DeferralSettings, Due } from './deferral.ts'
import { graphqlAnswerBytesMax, judgeOutcome } from './judged-outcome.ts'
import { KeptAnswer, type WholeAnswer } from './kept-answer.ts'
import { digestMessage } from './payload-digest.ts'
import { refusedBy } from './refusal.ts'
import type { GovernedUpstream, HttpUpstreams, WayIn } from './upstreams.ts'

/** What the session of such a run has for a peer. */
const ownPeer = gatePeer
/** How long an answer waits for the agent that asked. */
const answerMs = 900_000
const answersMax = 64
/** At once; a copy may take hours, and an upstream a minute. One agent's leave room for the others'. */
const runsMax = 16
const agentRunsMax = 4
/** How long a client waits for an answer that is on its way: about as long as clients do. */
const takeMsMax = 20_000
/** How long the gate's end waits for what it sent itself. */
const closeMsMax = 10_000

export interface DueRunParts {
  readonly gate: Gate
  readonly upstreams: HttpUpstreams
  readonly settings: DeferralSettings
  readonly bodyBytesMax: number
}

/**
 * Sends what people approved with a delay, when the delay is over: under the subject that asked, decided anew, its approval used once. Each is
 * tried once; what fails then is for the agent to send again.
 */
export class DueRuns {
  readonly #parts: DueRunParts
  readonly #answers = new Map<string, Promise<WholeAnswer | null>>()
  readonly #running = new Map<string, Promise<void>>()
  readonly #stopped = new AbortController()
  #looking: Promise<void> = Promise.resolve()

  constructor(parts: DueRunParts) {
    this.#parts = parts
  }

  start(): void {
    this.#looking = this.#look()
  }

  /**
   * The answer to exactly this request of this agent, if the gate ran it: given once, to a client that is there to take it. One that is running
   * is waited for, but no longer than `takeMsMax`; then this refuses, since sent a second time it would run twice.
   */
  async take(agent: string, governed: GovernedUpstream, sha256: string, gone: AbortSignal): Promise<WholeAnswer | null> {
    const key = answerKey(agent, governed.name, sha256)
    const answer = this.#answers.get(key)
    if (answer === undefined) return null
    const whole = await this.#within(takeMsMax, gone, answer)
    if (whole === undefined || gone.aborted) throw stillRunning()
    return this.#answers.delete(key) ? whole : null
  }

  /** What runs is waited for, but not for ever: its intent is on the log, and without an outcome it counts as unknown. */
  async close(): Promise<void> {
    this.#stopped.abort()
    await this.#looking
    await this.#within(closeMsMax, null, Promise.allSettled(this.#running.values()))
  }

  /** Undefined: it took longer, or nobody waits any more. */
  async #within<Out>(ms: number, signal: AbortSignal | null, work: Promise<Out>): Promise<Out | undefined> {
    const rested = new AbortController()
    const ended = AbortSignal.any(signal === null ? [rested.signal] : [rested.signal, signal])
    const waiting = this.#parts.settings.clock.sleep(ms, ended).then(() => undefined)
    return Promise.race([work, waiting]).finally(() => rested.abort())
  }

  async #look(): Promise<void> {
    const { store, clock, everyMs } = this.#parts.settings
    const { signal } = this.#stopped
    while (!signal.aborted) {
      // A store that fails now may not at the next look; until then nothing runs.
      const due = await store.due(clock.nowMs()).catch(() => [])
      for (const one of due) if (!signal.aborted) this.#begin(one)
      await clock.sleep(everyMs, signal)
    }
  }

  /** At once, and not after whatever else is due: an upstream that is slow holds up nobody. What finds no room is looked at anew the next time. */
  #begin(due: Due): void {
    const { request } = due.deferral
    const ofAgent = [...this.#running.keys()].filter((key) => key.startsWith(ownKeys(due.agent))).length
    const key = `${ownKeys(due.agent)}${request}`
    if (this.#running.size >= runsMax || ofAgent >= agentRunsMax || this.#running.has(key)) return
    this.#running.set(
      key,
      this.#runOne(due).finally(() => this.#running.delete(key)),
    )
  }

  async #runOne({ deferral, agent, session, handle }: Due): Promise<void> {
    const { gate, upstreams, settings } = this.#parts
    try {
      // Before it is tried: whatever happens now, the gate does not try twice.
      await settings.store.drop(deferral.request)
      const governed = upstreams.find(deferral.origin)
      if (handle === null || governed === null || governed.name !== deferral.upstream)
        throw new Error(handle === null ? 'its handle is no longer in force' : 'its upstream is no longer configured')
      const stopped = gate.killSwitch.stopped(agent, handle.owner, session, governed.name)
      if (stopped !== null) throw new Error(`stopped by the kill switch: ${stopped}`)
      const open = await gate.sessions.open(handle, 'http', governed.name, ownPeer)
      const running = this.#attend(deferral, governed, open)
      this.#keep(answerKey(agent, governed.name, digestMessage(deferral.message)), running)
      await running
    } catch (error) {
      const why = error instanceof Error ? error.message : 'unknown'
      gate.refusedAtDoor('http', ownPeer, agent, `request ${deferral.request} was approved, and not run when due: ${why}`)
    }
  }

  async #attend(deferral: Deferral, governed: GovernedUpstream, open: OpenSession): Promise<WholeAnswer | null> {
    const way = governed.enter()
    try {
      return await this.#ask(deferral, governed, open, way)
    } finally {
      await way.leave()
      await this.#parts.gate.sessions.close(open.session.id, 'what was due has been tried').catch(() => undefined)
    }
  }

  async #ask(deferral: Deferral, governed: GovernedUpstream, open: OpenSession, way: WayIn): Promise<WholeAnswer | null> {
    const { gate, bodyBytesMax } = this.#parts
    const { message, origin, contentType } = deferral
    const opened = await openBody(message.body, deferral.contentCodings, bodyBytesMax)
    const asked = makeAsked({
      session: open.session,
      governed,
      upstream: way.upstream,
      origin,
      message,
      sha256: digestMessage(message),
      opened,
      contentType,
    })
    const verdict = await gate.govern.ask(asked, { pending: () => undefined, waitMs: 0, signal: open.signal })
    if (verdict.outcome === 'refused') {
      gate.refusedAtDoor('http', ownPeer, open.session.subject.agent, `${verdict.code}: ${verdict.message}`)
      return null
    }
    return this.#send(deferral, governed, open, verdict)
  }

  async #send(
    { message }: Deferral,
    governed: GovernedUpstream,
    { session, signal }: OpenSession,
    { clearance }: Cleared,
  ): Promise<WholeAnswer | null> {
    const { govern } = this.#parts.gate
    const answer = new KeptAnswer(graphqlAnswerBytesMax)
    try {
      answer.flow(await governed.send(clearance, { session, message, signal }, answer))
    } catch (error) {
      await govern.conclude(clearance, { result: 'failed', detail: `Nothing was sent: ${refusedBy(error).code}` })
      return null
    }
    const answered = await answer.answered
    await govern.conclude(clearance, judgeOutcome(answered, isGraphqlTarget(governed, message.target)))
    return answer.whole()
  }

  #keep(key: string, answer: Promise<WholeAnswer | null>): void {
    this.#answers.set(key, answer)
    const oldest = this.#answers.size > answersMax ? this.#answers.keys().next().value : undefined
    if (oldest !== undefined) this.#answers.delete(oldest)
    const forget = (): void => {
      if (this.#answers.get(key) === answer) this.#answers.delete(key)
    }
    setTimeout(forget, answerMs).unref()
    answer.then(
      (whole) => (whole === null ? forget() : undefined),
      () => forget(),
    )
  }
}

function stillRunning(): SallyportError {
  return new SallyportError(
    'too_slow',
    'The delay of this request is over, and the gate is sending it itself just now; its answer has not come yet.',
    'It was not sent a second time.',
    'Send exactly the same again in a while to get its answer.',
  )
}

function answerKey(agent: string, upstream: string, sha256: string): string {
  return JSON.stringify([agent, upstream, sha256])
}

function ownKeys(agent: string): string {
  return `${JSON.stringify(agent)} `
}
