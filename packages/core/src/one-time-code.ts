import { createHmac, timingSafeEqual } from 'node:crypto'

/** RFC 6238 §4: seconds of one step, and the digits of a code. What every authenticator app does without being told. */
const stepMs = 30_000
const digits = 6
/** RFC 6238 §5.2: a clock may be one step off, either way. */
const driftSteps = [0, -1, 1] as const

/** Bytes of a secret: as long as what HMAC-SHA-1 gives (RFC 4226 §4, R6). */
export const codeSecretBytes = 20

export function codeStepOf(nowMs: number): number {
  return Math.floor(nowMs / stepMs)
}

/** RFC 4226 §5.3 over the number of a step. */
export function codeAt(secret: Uint8Array, step: number): string {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const mac = createHmac('sha1', secret).update(counter).digest()
  const offset = mac.readUInt8(mac.length - 1) & 0x0f
  const number = mac.readUInt32BE(offset) & 0x7fff_ffff
  return String(number % 10 ** digits).padStart(digits, '0')
}

/** The step whose code this is, now or one step off; null: none. As long for a wrong code as for a right one. */
export function findCodeStep(secret: Uint8Array, code: string, nowMs: number): number | null {
  const now = codeStepOf(nowMs)
  const given = Buffer.alloc(digits)
  given.write(code)
  let found: number | null = null
  for (const drift of driftSteps) {
    const step = Math.max(0, now + drift)
    const isIt = timingSafeEqual(given, Buffer.from(codeAt(secret, step))) && code.length === digits
    if (isIt && found === null) found = step
  }
  return found
}

const base32Letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** RFC 4648 §6, without padding: the bytes of a secret are a multiple of five. */
function toBase32(bytes: Uint8Array): string {
  let bits = 0
  let held = 0
  let text = ''
  for (const byte of bytes) {
    held = (held << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += base32Letters.charAt((held >>> bits) & 31)
    }
    held &= (1 << bits) - 1
  }
  return text
}

/** As a person types it, in groups of four. */
export function codeKeyText(secret: Uint8Array): string {
  return toBase32(secret).replaceAll(/(.{4})(?=.)/g, '$1 ')
}

/** What an authenticator app reads: Key URI Format, with its defaults left out. */
export function codeUri(secret: Uint8Array, person: string): string {
  const label = `Sallyport:${person}`
  return `otpauth://totp/${encodeURIComponent(label)}?secret=${toBase32(secret)}&issuer=Sallyport`
}
