import type { AccessRequest, Clock, EventType } from '@sallyport/core'
import { z } from 'zod'
import { messageOf, type Message } from './message.ts'
import { readUrl } from './post.ts'
import type { Receiver } from './receiver.ts'
import { answerCommand } from './slack-answer.ts'
import { callSlack, SlackRefusal, type SlackPlace } from './slack-api.ts'
import { SlackSocket } from './slack-socket.ts'
import { writeSlack } from './slack-text.ts'

export interface SlackSettings extends SlackPlace {
  readonly name: string
  readonly wants: ReadonlySet<EventType>
  /** Of a bot with `chat:write`. */
  readonly token: string
  /** App-level, with `connections:write`: for Socket Mode. Null: nothing is heard from Slack. */
  readonly appToken: string | null
  readonly channel: string
  readonly siteUrl: () => string
  readonly clock: Clock
  /** What waits for people, for whoever asks in the channel. */
  readonly waiting: () => Promise<readonly AccessRequest[]>
  /** Which message spoke of which request, wherever it was sent, so that it can be changed when people decided. */
  readonly posted: {
    get(name: string): string | null | Promise<string | null>
    set(name: string, value: string): void | Promise<void>
  }
}

const postedShape = z.object({ channel: z.string(), ts: z.string() })
/** Why a message can be changed no longer: it is gone, or too old. What happened is told by another one then. */
const unchangeable = new Set(['message_not_found', 'cant_update_message', 'edit_window_closed', 'channel_not_found'])

/**
 * Messages by Slack's Web API, and what people ask there by Socket Mode: nothing listens here, so there is no port to open. A message about a request is
 * changed when it was decided, wherever that happened. There is a link in it and no button: a verdict is given on the page, with a passkey.
 */
export function openSlack(settings: SlackSettings): Receiver {
  const { name, wants, siteUrl, appToken, clock, api, authorities } = settings
  readUrl(api, `Slack ${name}`)
  const answer = (payload: unknown): ReturnType<typeof answerCommand> =>
    answerCommand(payload, {
      channelOf: async () => (await settings.posted.get(channelKey(name))) ?? settings.channel,
      waiting: settings.waiting,
      siteUrl,
    })
  return {
    name,
    wants,
    batchMax: 1,
    deliver: async (batch, signal) => {
      for (const logged of batch) await say(settings, messageOf(logged, siteUrl()), signal)
    },
    ...(appToken !== null && { attachment: new SlackSocket({ api, authorities, appToken, clock, answer }) }),
  }
}

const channelKey = (name: string): string => `slack-channel:${name}`

async function say(settings: SlackSettings, message: Message, signal: AbortSignal): Promise<void> {
  const { name, channel, posted, token } = settings
  const { title, text: words, url, request } = message
  const fields = { ...writeSlack(title, [{ words, url }]), unfurl_links: false, unfurl_media: false }
  const key = `slack:${name}:${request ?? ''}`
  const known = request === null ? null : readPosted(await posted.get(key))
  if (known !== null && (await change(settings, { ...known, ...fields }, signal))) return
  const answer = await callSlack(settings, { method: 'chat.postMessage', token, fields: { channel, ...fields } }, signal)
  if (answer.channel !== undefined) await posted.set(channelKey(name), answer.channel)
  if (request === null || answer.ts === undefined || answer.channel === undefined) return
  await posted.set(key, JSON.stringify({ channel: answer.channel, ts: answer.ts }))
}

/** False: that message can be changed no longer. */
async function change(
  settings: SlackSettings,
  fields: { readonly [key: string]: unknown },
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await callSlack(settings, { method: 'chat.update', token: settings.token, fields }, signal)
    return true
  } catch (error) {
    if (error instanceof SlackRefusal && unchangeable.has(error.word)) return false
    throw error
  }
}

function readPosted(text: string | null): z.infer<typeof postedShape> | null {
  if (text === null) return null
  const parsed = postedShape.safeParse(JSON.parse(text))
  return parsed.success ? parsed.data : null
}
