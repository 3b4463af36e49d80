import { canonicalJson, decodeEntry, eventJson, eventTypes, LogFormatError, visibleLine, type Event } from '@sallyport/core'
import { z } from 'zod'

const instant = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text))

/** What is looked for: an event that has all of it. */
export const searchShape = z.object({
  session: z.string().min(4).optional(),
  agent: z.string().optional(),
  type: z.array(z.enum(eventTypes)).default([]),
  request: z.string().min(4).optional(),
  text: z.string().optional(),
  since: instant.optional(),
  until: instant.optional(),
  count: z.number().default(1_000),
  json: z.boolean().default(false),
})
export type Search = z.infer<typeof searchShape>

/** An entry that can't be read is never left out: what it says may be just what is looked for. */
export function matches(entry: Uint8Array, search: Search): Event | 'unreadable' | null {
  let event: Event
  try {
    event = decodeEntry(entry)
  } catch (error) {
    if (error instanceof LogFormatError) return 'unreadable'
    throw error
  }
  return isWanted(event, search) ? event : null
}

function isWanted(event: Event, { session, agent, type, request, text, since, until }: Search): boolean {
  if (session !== undefined && !sessionsOf(event).some((one) => one.startsWith(session))) return false
  if (agent !== undefined && event.agent !== agent && event.data['agent'] !== agent) return false
  if (type.length > 0 && !type.includes(event.type)) return false
  if (request !== undefined && !startsWith(event.data['request'], request)) return false
  if (since !== undefined && event.atMs < since) return false
  if (until !== undefined && event.atMs > until) return false
  return text === undefined || canonicalJson(eventJson(event)).toLowerCase().includes(text.toLowerCase())
}

const readsShape = z.object({ reads: z.array(z.object({ session: z.string() })) })

/** Counted reads of many sessions stand in one event. */
function sessionsOf({ session, data }: Event): readonly string[] {
  const reads = readsShape.safeParse(data)
  const counted = reads.success ? reads.data.reads.map((one) => one.session) : []
  return session === undefined ? counted : [session, ...counted]
}

function startsWith(value: unknown, beginning: string): boolean {
  return typeof value === 'string' && value.startsWith(beginning)
}

const summaryCharacters = 200

/** One line for a person: when, what, who, and the words that say most of it. */
export function lineOf(index: number, { atMs, type, agent, session, data }: Event): string {
  const who = agent === undefined ? '' : ` ${agent}${session === undefined ? '' : ` (${session.slice(0, 8)})`}`
  const told = ['text', 'why', 'reason', 'result', 'detail', 'by']
    .flatMap((key) => {
      const value = data[key]
      return typeof value === 'string' && value !== '' ? [value] : []
    })
    .join(' · ')
  const summary = told === '' ? canonicalJson(data) : told
  const cut = summary.length > summaryCharacters ? `${summary.slice(0, summaryCharacters).toWellFormed()}…` : summary
  return visibleLine(`${index} ${new Date(atMs).toISOString()} ${type}${who}  ${cut}`)
}
