import { eventTypes } from '@sallyport/core'
import { z } from 'zod'
import { reference } from './config-value.ts'

const any = {
  /** What it is told: `questions` are those that people are to answer or should know of at once. */
  events: z
    .union([z.enum(['all', 'questions']), z.array(z.enum(eventTypes)).min(1)], {
      error: 'events is all, questions, or a list of kinds of event',
    })
    .exactOptional(),
  /** The person whose telephone or mailbox it is: rings may name them. */
  of: z.string().min(1).max(100).exactOptional(),
  /** PEM file of authorities besides those that the machine trusts. */
  authorities: z.string().exactOptional(),
}
const mailbox = z.string().regex(/^[^\s<>@"]+@[^\s<>@"]+$/, 'an address is written like ops@example.com')

/** Addresses are references too: many hold a secret. */
export const deliverSchema = z.union(
  [
    z.strictObject({ webhook: reference, secret: reference, ...any }),
    z.strictObject({
      otlp: reference,
      header: reference.exactOptional(),
      /** What the collector gets: records of all that happened, or a span an operation. */
      signal: z.enum(['logs', 'traces'], { error: 'signal is logs or traces' }).exactOptional(),
      ...any,
    }),
    z.strictObject({ syslog: reference, ...any }),
    z.strictObject({ ntfy: reference, token: reference.exactOptional(), ...any }),
    z.strictObject({
      slack: reference,
      /** An app-level token: what people ask in Slack is answered, over a connection that the gate opens. */
      app: reference.exactOptional(),
      channel: z.string().regex(/^[#@]?[A-Za-z0-9._-]{1,80}$/, 'a channel is written like "#ops", or is its id'),
      api: z.url().default('https://slack.com/api'),
      ...any,
    }),
    z.strictObject({ mail: reference, from: mailbox, to: z.array(mailbox).min(1).max(50), ...any }),
  ],
  { error: 'one of webhook (with secret), otlp, syslog, ntfy, slack (with channel) and mail (with from and to)' },
)
export type DeliverConfig = z.infer<typeof deliverSchema>
