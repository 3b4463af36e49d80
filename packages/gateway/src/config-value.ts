import { z } from 'zod'

/** How single values are written in sallyport.yaml. */

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/
const durationPattern = /^(\d{1,6})(ms|s|m|h|d)$/
const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

export const duration = z
  .string({ error: 'a duration is written like 15m, 8h or 7d' })
  .regex(durationPattern, 'a duration is written like 15m, 8h or 7d')
  .transform((text) => {
    const [, count, unit] = durationPattern.exec(text) ?? []
    return Number(count) * (unitMs[unit ?? ''] ?? Number.NaN)
  })

const addressPattern = /^(127\.0\.0\.1|localhost|\[::1\]|\d{1,3}(\.\d{1,3}){3}):\d{1,5}$/
const addressText = z.string().regex(addressPattern, 'an address is written like 127.0.0.1:6432')

function splitAddress(text: string): { readonly host: string; readonly port: number } {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) }
}

export const address = addressText.transform(splitAddress)
export const ownAddress = addressText
  .regex(/^(127\.|localhost:|\[::1\]:)/, 'only this machine’s own addresses: this listener has no TLS yet')
  .transform(splitAddress)

export const reference = z
  .string()
  .regex(
    /^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|exec:.+)$/,
    'a credential is a reference: file:PATH, env:NAME or exec:COMMAND, never the secret itself',
  )

export const name = z.string().regex(namePattern, 'a name is letters, digits, "_", "." and "-", at most 63')

export const tls = z
  .strictObject({
    name: z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/, 'the host name that clients connect to'),
    certificate: z.string().optional(),
    key: z.string().optional(),
  })
  .refine(({ certificate, key }) => (certificate === undefined) === (key === undefined), 'certificate and key come together')
  .transform(({ name, certificate, key }) => ({
    name,
    files: certificate === undefined || key === undefined ? null : { certificate, key },
  }))

/** Minutes of the day. */
export const timeOfDay = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time of day is written like "22:00", in quotes')
  .transform((text) => {
    const [hours, minutes] = text.split(':').map(Number)
    return (hours ?? 0) * 60 + (minutes ?? 0)
  })

export const timeZone = z.string().max(64).refine(isZone, 'a time zone is written like Europe/Zurich, or UTC')

function isZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}
