import { createHash } from 'node:crypto'

/** What a secret may look like on its way out: as it is, encoded, escaped, or hashed in the way that PostgreSQL would take for it. */
export function formsOf(secret: string, user: string): readonly string[] {
  const bytes = Buffer.from(secret)
  // Base64 inside longer base64 begins at one of three places; what does not depend on the neighbours is enough to know it by.
  const shifted = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(shift === 0 ? 0 : 4, -4),
  )
  const byte = (mark: string): string => [...bytes].map((one) => `${mark}${one.toString(16).padStart(2, '0')}`).join('')
  return [
    secret,
    ...shifted,
    bytes.toString('base64url').slice(0, -2),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    byte('%'),
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    bytes.toString('utf16le'),
    Buffer.from(bytes.toReversed()).toString('latin1'),
    createHash('md5').update(`${secret}${user}`).digest('hex'),
    createHash('sha256').update(secret).digest('hex'),
  ]
}

/** The forms that are found in `bytes`. */
export function findSecrets(bytes: Uint8Array | string, forms: readonly string[]): readonly string[] {
  const text = typeof bytes === 'string' ? Buffer.from(bytes) : Buffer.from(bytes)
  return forms.filter((form) => text.includes(form) || text.includes(Buffer.from(form, 'latin1')))
}
