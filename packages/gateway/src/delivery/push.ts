import type { EventType } from '@sallyport/core'
import { messageOf } from './message.ts'
import { checkTaken, post, readUrl } from './post.ts'
import type { Receiver } from './receiver.ts'

export interface PushSettings {
  readonly name: string
  readonly wants: ReadonlySet<EventType>
  /** Of the topic. Who knows its name may read it, so it is a secret. */
  readonly url: string
  readonly token: string | null
  readonly authorities: string | null
  readonly siteUrl: () => string
}

/** A message to telephones by an ntfy server (docs.ntfy.sh/publish): its JSON form, so that no text becomes a header. */
export function openPush({ name, wants, url, token, authorities, siteUrl }: PushSettings): Receiver {
  const topicUrl = readUrl(url, `ntfy ${name}`)
  const parts = topicUrl.pathname.split('/').filter((part) => part !== '')
  const topic = parts.pop() ?? ''
  const target = new URL(`/${parts.join('/')}`, topicUrl)
  return {
    name,
    wants,
    batchMax: 1,
    deliver: async (batch, signal) => {
      for (const logged of batch) {
        const { title, text, url: click, urgent } = messageOf(logged, siteUrl())
        const body = JSON.stringify({
          topic,
          title,
          message: text,
          priority: urgent ? 4 : 3,
          ...(click === null ? {} : { click }),
        })
        const headers = {
          'content-type': 'application/json',
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        }
        checkTaken(await post({ url: target, headers, body, authorities }, signal))
      }
    },
  }
}
