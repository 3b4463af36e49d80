import { summarizeQuestion } from '@sallyport/console'
import { visibleLine, type AccessRequest, type Json } from '@sallyport/core'
import { z } from 'zod'
import { writeSlack, type SlackText } from './slack-text.ts'

/** What a command in Slack is answered from. */
export interface CommandPorts {
  /** The id of the channel that is told; its name until something was told there. */
  readonly channelOf: () => Promise<string>
  readonly waiting: () => Promise<readonly AccessRequest[]>
  readonly siteUrl: () => string
}

/** Shown at once: the page has all of them. */
const listed = 10
const commandShape = z.object({ channel_id: z.string().max(64) })

/**
 * The answer to `/sallyport`, whatever stands behind it: what waits for people, with a link each, to whoever asked and nobody else. It tells the channel
 * that is told anyway, and no other. Nothing that is sent from Slack decides anything.
 */
export async function answerCommand(payload: unknown, { channelOf, waiting, siteUrl }: CommandPorts): Promise<Json> {
  const command = commandShape.safeParse(payload)
  if (!command.success || command.data.channel_id !== (await channelOf()))
    return toAsker(writeSlack('Sallyport answers in the channel that it tells, and only there.', []))
  const open = await waiting()
  if (open.length === 0) return toAsker(writeSlack('Sallyport: nothing waits for people.', []))
  const shown = open.slice(0, listed).map((request) => ({
    words: visibleLine(
      `${request.question.subject.agent} on ${request.question.upstream}: ${summarizeQuestion(request.question)}`,
    ),
    url: `${siteUrl()}/requests/${request.id}`,
  }))
  const more = open.length > listed ? [{ words: `and ${open.length - listed} more`, url: `${siteUrl()}/requests` }] : []
  return toAsker(writeSlack(`Sallyport: ${open.length} waiting for people`, [...shown, ...more]))
}

function toAsker({ text, blocks }: SlackText): Json {
  return { response_type: 'ephemeral', text, blocks: [...blocks] }
}
