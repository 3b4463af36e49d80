import { z } from 'zod'
import { checkTaken, post } from './post.ts'
import { DeliveryError } from './receiver.ts'

/** Where Slack's Web API is, and who may vouch for it. */
export interface SlackPlace {
  readonly api: string
  /** PEM, besides what the machine trusts. */
  readonly authorities: string | null
}

export interface SlackCall {
  readonly method: 'chat.postMessage' | 'chat.update' | 'apps.connections.open'
  readonly token: string
  readonly fields: { readonly [key: string]: unknown }
}

const answerShape = z.object({
  ok: z.boolean(),
  error: z.string().optional(),
  ts: z.string().optional(),
  channel: z.string().optional(),
  url: z.string().optional(),
})
export type SlackAnswer = z.infer<typeof answerShape>

/** Errors after which the same again would be refused again (docs.slack.dev, chat.postMessage). */
const finalErrors = new Set(['msg_too_long', 'no_text', 'invalid_blocks', 'invalid_blocks_format'])

/** Slack said no; `word` is its own for why. */
export class SlackRefusal extends DeliveryError {
  readonly word: string
  constructor(word: string) {
    super(`it refused: ${word}`, finalErrors.has(word))
    this.word = word
  }
}

/** One call of the Web API: the token in a header, never in an address. @throws DeliveryError, which quotes nothing but a word of Slack's */
export async function callSlack(
  { api, authorities }: SlackPlace,
  { method, token, fields }: SlackCall,
  signal: AbortSignal,
): Promise<SlackAnswer> {
  const url = new URL(`${api.replace(/\/+$/, '')}/${method}`)
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json; charset=utf-8' }
  const posted = await post({ url, headers, body: JSON.stringify(fields), authorities }, signal)
  checkTaken(posted)
  const answer = readAnswer(posted.body)
  if (answer === null) throw new DeliveryError('its answer could not be read')
  const error = answer.error ?? 'unknown'
  if (!answer.ok) throw new SlackRefusal(/^[a-z_]{1,64}$/.test(error) ? error : 'unknown')
  return answer
}

function readAnswer(text: string): SlackAnswer | null {
  try {
    const parsed = answerShape.safeParse(JSON.parse(text))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}
