import { createHmac } from 'node:crypto'
import { eventJson, type EventType, type Json } from '@sallyport/core'
import { checkTaken, post, readUrl } from './post.ts'
import type { LoggedEvent, Receiver } from './receiver.ts'

export interface WebhookSettings {
  readonly name: string
  readonly wants: ReadonlySet<EventType>
  readonly url: string
  /** What both sides know: `whsec_` and base64, as Standard Webhooks writes it, or any text. */
  readonly secret: string
  readonly authorities: string | null
  /** The log it speaks of, so that places of several gates can be told apart. */
  readonly origin: string
  readonly nowMs: () => number
}

/**
 * JSON to a URL, signed as Standard Webhooks 1.0 says (webhook-id, webhook-timestamp, webhook-signature over `id.timestamp.body`). The id is the same
 * when the same events come again.
 */
export function openWebhook({ name, wants, url, secret, authorities, origin, nowMs }: WebhookSettings): Receiver {
  const target = readUrl(url, `webhook ${name}`)
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret)
  return {
    name,
    wants,
    batchMax: 100,
    deliver: async (batch, signal) => {
      const body = JSON.stringify({ type: 'sallyport.events', log: origin, events: batch.map(eventOf) })
      const id = `msg_${batch[0]?.index ?? 0}_${batch.at(-1)?.index ?? 0}`
      const timestamp = String(Math.floor(nowMs() / 1000))
      const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
      const headers = {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': timestamp,
        'webhook-signature': `v1,${signature}`,
      }
      checkTaken(await post({ url: target, headers, body, authorities }, signal))
    },
  }
}

function eventOf({ index, event }: LoggedEvent): Json {
  return { index, event: eventJson(event) }
}
