import { liveLineOf } from '@sallyport/console'
import { z } from 'zod'
import type { LoggedEvent } from './receiver.ts'

/** What people read on their telephone: what happened, and where to answer. It never carries a verdict, nor a way to give one without signing in. */
export interface Message {
  readonly title: string
  readonly text: string
  /** Where to look; null where there is nothing to look at. */
  readonly url: string | null
  readonly urgent: boolean
  /** The access request it is about. */
  readonly request: string | null
}

const aboutRequest = z.object({ request: z.string().regex(/^[0-9a-f]{8,64}$/) })

/** Agents' own words are in it: made visible, cut, and never anything but text. */
export function messageOf({ index, event, rung = '' }: LoggedEvent, siteUrl: string): Message {
  const line = liveLineOf(index, event)
  const about = aboutRequest.safeParse(event.data)
  const request = event.type.startsWith('request.') && about.success ? about.data.request : null
  return {
    title: `Sallyport: ${titleOf(event.type, line.what)}`,
    text: rung === '' ? line.detail : `${line.detail} ${rung}`,
    url: request === null ? `${siteUrl}/live` : `${siteUrl}/requests/${request}`,
    urgent: event.type === 'request.opened' || line.tone === 'danger',
    request,
  }
}

function titleOf(type: string, what: string): string {
  if (type === 'request.opened') return 'an agent waits for people'
  return what.replace(/^\S+ /, '')
}
