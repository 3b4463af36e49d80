import { eventTypes, SallyportError, type AccessRequest, type Clock, type EventType } from '@sallyport/core'
import { openCollector } from './collector.ts'
import { openMail } from './mail.ts'
import { openPush } from './push.ts'
import { DeliveryError, questionTypes, type Receiver } from './receiver.ts'
import { openRung, type RungPorts } from './rung.ts'
import { openSlack } from './slack.ts'
import { openSpans } from './spans.ts'
import { openSyslog } from './syslog.ts'
import { openWebhook } from './webhook.ts'

/** As the configuration has it, its references resolved. */
export type ReceiverSettings = {
  readonly name: string
  readonly events: 'all' | 'questions' | readonly EventType[] | null
  readonly authorities: string | null
} & (
  | { readonly kind: 'webhook'; readonly url: string; readonly secret: string }
  | { readonly kind: 'otlp'; readonly url: string; readonly header: string | null; readonly signal: 'logs' | 'traces' }
  | { readonly kind: 'ntfy'; readonly url: string; readonly token: string | null }
  | {
      readonly kind: 'slack'
      readonly token: string
      readonly appToken: string | null
      readonly channel: string
      readonly api: string
    }
  | { readonly kind: 'mail'; readonly url: string; readonly from: string; readonly to: readonly string[] }
  | { readonly kind: 'syslog'; readonly url: string }
)

export interface ReceiverContext extends RungPorts {
  /** Of the log that is spoken of. */
  readonly origin: string
  /** Where people look and answer, known once their pages are up. */
  readonly siteUrl: () => string
  readonly clock: Clock
  /** Of this gate alone. */
  readonly memory: { get(name: string): string | null; set(name: string, value: string): void }
  /** What waits for people now. */
  readonly waiting: () => Promise<readonly AccessRequest[]>
  /** The receivers that hear of a question when they are rung; null: all of them at once. */
  readonly bells: ReadonlySet<string> | null
}

/** @throws SallyportError for an address that is none; nothing was sent */
export function openReceivers(settings: readonly ReceiverSettings[], context: ReceiverContext): readonly Receiver[] {
  return settings.map((one) => {
    try {
      const receiver = open(one, context)
      return context.bells?.has(one.name) === true ? openRung(receiver, context) : receiver
    } catch (error) {
      if (!(error instanceof DeliveryError)) throw error
      throw new SallyportError('internal', `deliver: ${error.message}.`, 'The gate did not start.', 'Mend it in sallyport.yaml.')
    }
  })
}

function open(one: ReceiverSettings, { origin, siteUrl, clock, memory, waiting, posted }: ReceiverContext): Receiver {
  switch (one.kind) {
    case 'webhook':
      return openWebhook({ ...one, wants: wanted(one.events, 'all'), origin, nowMs: () => clock.nowMs() })
    case 'otlp':
      if (one.signal === 'traces') return openSpans({ ...one, origin, memory })
      return openCollector({ ...one, wants: wanted(one.events, 'all'), origin })
    case 'syslog':
      return openSyslog({ ...one, wants: wanted(one.events, 'all'), origin })
    case 'ntfy':
      return openPush({ ...one, wants: wanted(one.events, 'questions'), siteUrl })
    case 'slack':
      return openSlack({ ...one, wants: wanted(one.events, 'questions'), siteUrl, clock, waiting, posted })
    case 'mail':
      return openMail({ ...one, wants: wanted(one.events, 'questions'), siteUrl })
  }
}

function wanted(events: ReceiverSettings['events'], fallback: 'all' | 'questions'): ReadonlySet<EventType> {
  const chosen = events ?? fallback
  return new Set(chosen === 'all' ? eventTypes : chosen === 'questions' ? questionTypes : chosen)
}
