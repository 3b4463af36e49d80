import type { EventType } from '@sallyport/core'
import { isOwnHost } from '@sallyport/core'
import { createTransport, type Transporter } from 'nodemailer'
import { messageOf, type Message } from './message.ts'
import { DeliveryError, type Receiver } from './receiver.ts'

export interface MailSettings {
  readonly name: string
  readonly wants: ReadonlySet<EventType>
  /** `smtps://user:password@host:465` or `smtp://…:587` with STARTTLS; in the clear to this machine only. */
  readonly url: string
  readonly from: string
  readonly to: readonly string[]
  readonly authorities: string | null
  readonly siteUrl: () => string
}

/** Mail to people, plain text: an agent's words are in it, and they are nobody's HTML. */
export function openMail(settings: MailSettings): Receiver {
  const transport = openTransport(settings)
  const { name, wants, from, to, siteUrl } = settings
  return {
    name,
    wants,
    batchMax: 1,
    deliver: async (batch, signal) => {
      for (const logged of batch) {
        const message = messageOf(logged, siteUrl())
        const sending = transport.sendMail({
          from,
          to: [...to],
          subject: message.title,
          text: render(message),
          // The same again has the same id, so that a reader which knows it shows it once.
          messageId: `<${logged.index}.${logged.event.atMs}@sallyport.invalid>`,
          disableFileAccess: true,
          disableUrlAccess: true,
        })
        await Promise.race([sending, aborted(signal)]).catch((error: unknown) => {
          throw readFailure(error)
        })
      }
    },
  }
}

function openTransport({ url, name, authorities }: MailSettings): Transporter {
  const parsed = URL.parse(url)
  if (parsed === null || !['smtp:', 'smtps:'].includes(parsed.protocol))
    throw new DeliveryError(`the address of mail ${name} is not an smtp: or smtps: URL`)
  const secure = parsed.protocol === 'smtps:'
  const host = parsed.hostname.replace(/^\[|\]$/g, '')
  const user = decodeURIComponent(parsed.username)
  return createTransport({
    host,
    port: Number(parsed.port === '' ? (secure ? 465 : 587) : parsed.port),
    secure,
    requireTLS: !secure && !isOwnHost(host),
    ...(user === '' ? {} : { auth: { user, pass: decodeURIComponent(parsed.password) } }),
    ...(authorities === null ? {} : { tls: { ca: authorities } }),
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 15_000,
  })
}

function render({ text, url }: Message): string {
  return `${text}\n${url === null ? '' : `\n${url}\n`}\nThis message can only be answered on that page, with a passkey.\n`
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new DeliveryError('it did not answer in time')), { once: true })
  })
}

/** A server's code and nothing of its words: those may quote an address or a credential. */
function readFailure(error: unknown): DeliveryError {
  if (error instanceof DeliveryError) return error
  const code = typeof error === 'object' && error !== null && 'responseCode' in error ? Number(error.responseCode) : Number.NaN
  if (!Number.isInteger(code)) return new DeliveryError('it could not be reached, or did not take the message')
  // 552 and 554 of a message, not of a recipient or a login: the same again would be refused again.
  return new DeliveryError(`it answered ${code}`, code === 552)
}
