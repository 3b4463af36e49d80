import type { EventType } from '@sallyport/core'
import { z } from 'zod'
import { messageOf, type Message } from './message.ts'
import { checkTaken, post, readUrl } from './post.ts'
import { DeliveryError, type Receiver } from './receiver.ts'

export interface SlackSettings {
  readonly name: string
  readonly wants: ReadonlySet<EventType>
  /** Of a bot with `chat:write`. */
  readonly token: string
  readonly channel: string
  readonly api: string
  readonly authorities: string | null
  readonly siteUrl: () => string
  /** Which message spoke of which request, so that it can be changed when people decided. */
  readonly memory: { get(name: string): string | null; set(name: string, value: string): void }
}

const answerShape = z.object({
  ok: z.boolean(),
  error: z.string().optional(),
  ts: z.string().optional(),
  channel: z.string().optional(),
})
const postedShape = z.object({ channel: z.string(), ts: z.string() })
/** Errors after which the same again would be refused again (docs.slack.dev, chat.postMessage). */
const finalErrors = new Set(['msg_too_long', 'no_text', 'message_not_found', 'cant_update_message', 'edit_window_closed'])

/**
 * Messages by Slack's Web API: nothing listens here, so there is no port to open. A message about a request is changed when it was decided, wherever
 * that happened. There is a link in it and no button: a verdict is given on the page, with a passkey.
 */
export function openSlack(settings: SlackSettings): Receiver {
  const { name, wants, siteUrl } = settings
  readUrl(settings.api, `Slack ${name}`)
  return {
    name,
    wants,
    batchMax: 1,
    deliver: async (batch, signal) => {
      for (const logged of batch) await say(settings, messageOf(logged, siteUrl()), signal)
    },
  }
}

async function say(settings: SlackSettings, message: Message, signal: AbortSignal): Promise<void> {
  const { name, channel, memory } = settings
  const text = render(message)
  const key = `slack:${name}:${message.request ?? ''}`
  const known = message.request === null ? null : readPosted(memory.get(key))
  if (known !== null) return void (await call(settings, 'chat.update', { ...known, text }, signal))
  const answer = await call(settings, 'chat.postMessage', { channel, text, unfurl_links: false, unfurl_media: false }, signal)
  if (message.request === null || answer.ts === undefined || answer.channel === undefined) return
  memory.set(key, JSON.stringify({ channel: answer.channel, ts: answer.ts }))
}

function readPosted(text: string | null): z.infer<typeof postedShape> | null {
  if (text === null) return null
  const parsed = postedShape.safeParse(JSON.parse(text))
  return parsed.success ? parsed.data : null
}

/** Slack reads three characters as its own; everything else stays text. */
const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

function render({ title, text, url }: Message): string {
  return `*${escape(title)}*\n${escape(text)}${url === null ? '' : `\n<${url}|Look at it>`}`
}

async function call(
  { api, token, authorities }: SlackSettings,
  method: 'chat.postMessage' | 'chat.update',
  fields: { readonly [key: string]: string | boolean },
  signal: AbortSignal,
): Promise<z.infer<typeof answerShape>> {
  const url = new URL(`${api.replace(/\/+$/, '')}/${method}`)
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json; charset=utf-8' }
  const posted = await post({ url, headers, body: JSON.stringify(fields), authorities }, signal)
  checkTaken(posted)
  const answer = readAnswer(posted.body)
  if (answer === null) throw new DeliveryError('its answer could not be read')
  const error = answer.error ?? 'unknown'
  if (!answer.ok)
    throw new DeliveryError(`it refused: ${/^[a-z_]{1,64}$/.test(error) ? error : 'unknown'}`, finalErrors.has(error))
  return answer
}

function readAnswer(text: string): z.infer<typeof answerShape> | null {
  try {
    const parsed = answerShape.safeParse(JSON.parse(text))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}
