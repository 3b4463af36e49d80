import {
  readTraceParent,
  SallyportError,
  spendClearance,
  type Clearance,
  type Environment,
  type HttpAccess,
  type KillSwitch,
  type Session,
} from '@sallyport/core'
import type { Origin } from '../../protocols/http/origin.ts'
import { digestMessage, renderHead } from '../../protocols/http/payload-digest.ts'
import type { AnswerListener, Call, Flow, GovernedUpstream, Message, WayIn } from '../../protocols/http/upstreams.ts'
import type { Connection } from './connection.ts'
import type { Pool } from './pool.ts'
import { Ties, type OpenTie } from './ties.ts'

/** One governed host, with all that reaching it takes. Holds the credential. */
export interface GovernedAbout {
  readonly name: string
  readonly identity: string
  readonly environment: Environment
  readonly connector: string
  readonly origin: Origin
  readonly graphqlPaths: ReadonlySet<string>
  /** `name: value` with the secret in it, as added to the head. */
  readonly credentialLine: string
  readonly answerTimeoutMs: number
  readonly access: Omit<HttpAccess, 'tied'>
  readonly openTie: OpenTie
}

/** The last place that a request passes before it is the upstream's. */
export class GovernedHost implements GovernedUpstream {
  readonly name: string
  readonly identity: string
  readonly connector: string
  readonly graphqlPaths: ReadonlySet<string>
  readonly #about: GovernedAbout
  readonly #pool: Pool
  readonly #killSwitch: KillSwitch

  constructor(about: GovernedAbout, pool: Pool, killSwitch: KillSwitch) {
    this.#about = about
    this.#pool = pool
    this.#killSwitch = killSwitch
    this.connector = about.connector
    this.graphqlPaths = about.graphqlPaths
    this.name = about.name
    this.identity = about.identity
  }

  enter(): WayIn {
    const { name, identity, environment, access, openTie } = this.#about
    const ties = new Ties(openTie)
    return {
      upstream: { name, identity, environment, access: { ...access, tied: (type, id) => ties.find(type, id) } },
      rest: () => ties.rest(),
      leave: () => ties.leave(),
    }
  }

  send(clearance: Clearance, call: Call, listener: AnswerListener): Promise<Flow> {
    return this.#exchange(call, listener, () =>
      spendClearance(clearance, digestMessage(call.message), this.#killEpoch(call.session)),
    )
  }

  forwardRead(call: Call, listener: AnswerListener): Promise<Flow> {
    return this.#exchange(call, listener, () => this.#checkKill(call.session))
  }

  /** `permit` runs right before the write, with nothing awaited in between. */
  async #exchange(call: Call, listener: AnswerListener, permit: () => void): Promise<Flow> {
    const { message, session, signal } = call
    if (signal.aborted) throw stopped()
    const connection: Connection = await this.#pool.acquire(session.subject.agent, signal)
    try {
      if (signal.aborted) throw stopped()
      if (!connection.usable) throw lost(this.#about.name)
      checkMessage(message, this.#about)
      permit()
    } catch (error) {
      this.#pool.release(connection)
      throw error
    }
    const { credentialLine, answerTimeoutMs } = this.#about
    const head = `${renderHead(message)}${renderTrace(message)}${credentialLine}\r\n\r\n`
    return connection.exchange({ method: message.method, head, body: message.body, signal, answerTimeoutMs }, listener)
  }

  #killEpoch({ id, subject, upstream }: Session): number {
    return this.#killSwitch.epochOf(subject.agent, subject.owner, id, upstream)
  }

  #checkKill({ id, subject, upstream }: Session): void {
    if (this.#killSwitch.stopped(subject.agent, subject.owner, id, upstream) !== null) throw stopped()
  }
}

/** Looked at once more, since no digest covers it. */
function renderTrace({ trace = '' }: Message): string {
  return readTraceParent(trace) === null ? '' : `traceparent: ${trace}\r\n`
}

/** A line break or a second length in here would make two requests of one. The protocol has looked; this is the last place to. */
export function checkMessage(
  { method, target, headers, body }: Message,
  { origin, credentialLine }: Pick<GovernedAbout, 'origin' | 'credentialLine'>,
): void {
  const credentialName = credentialLine.slice(0, credentialLine.indexOf(':')).toLowerCase()
  const names = headers.map(([name]) => name.toLowerCase())
  const lengths = headers.filter(([name]) => name.toLowerCase() === 'content-length')
  const isLengthRight = lengths.length === 0 ? body.length === 0 : lengths.length === 1 && lengths[0]?.[1] === String(body.length)
  const isPlain =
    /^[A-Z]{3,16}$/.test(method) &&
    /^\/[\x21-\x7e]*$/.test(target) &&
    headers.every(([name, value]) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && /^[\t\x20-\x7e]*$/.test(value))
  const isOurs = names[0] === 'host' && names.indexOf('host', 1) === -1 && headers[0]?.[1].split(':')[0] === origin.host
  if (isPlain && isLengthRight && isOurs && !names.includes(credentialName) && !names.includes('transfer-encoding')) return
  throw new SallyportError(
    'clearance_invalid',
    'What was to be sent is not one plain request to this upstream.',
    'Nothing was sent upstream.',
    'Report this: it is a defect of the gate.',
  )
}

function stopped(): SallyportError {
  return new SallyportError(
    'killed',
    'This session was stopped.',
    'Nothing was sent upstream.',
    'Wait until a person releases it.',
  )
}

function lost(name: string): SallyportError {
  return new SallyportError(
    'upstream_unavailable',
    `The connection to ${name} was lost.`,
    'Nothing was sent upstream.',
    'Send the request again.',
  )
}
