/** Bytes that stand where the credential was: as many, so that lengths stay true. */
const mask = 0x2a

/** Shorter secrets would be found in texts that have nothing to do with them. */
export const secretBytesMin = 8

/** Every writing of a secret that an upstream might echo. */
function writings(secret: string): readonly Buffer[] {
  const bytes = Buffer.from(secret, 'utf8')
  const base64 = [0, 1, 2].map((shift) => alignedBase64(bytes, shift))
  const found = [
    secret,
    encodeURIComponent(secret),
    encodeURIComponent(secret).replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    JSON.stringify(secret).slice(1, -1),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
    secret.toLowerCase(),
    secret.toUpperCase(),
    Buffer.from(bytes).reverse().toString('latin1'),
    everyByte(bytes, '%'),
    everyByte(bytes, '%').toUpperCase(),
    everyByte(bytes, '\\u00'),
  ]
  return [...new Set(found)].filter((text) => text.length >= secretBytesMin).map((text) => Buffer.from(text, 'utf8'))
}

/** A secret is ASCII, so that each of its bytes is a character. */
function everyByte(bytes: Buffer, mark: string): string {
  return bytes.toString('hex').replaceAll(/../g, (hex) => `${mark}${hex}`)
}

/** The part of the secret's base64 that is the same whatever stands around it, when it begins at this offset of three. */
function alignedBase64(bytes: Buffer, shift: number): string {
  const encoded = Buffer.concat([Buffer.alloc(shift), bytes])
    .toString('base64')
    .replaceAll('=', '')
  const from = shift === 0 ? 0 : shift + 1
  const loose = (bytes.length + shift) % 3
  return encoded.slice(from, loose === 0 ? undefined : -1)
}

/** Removes the credential from what an upstream says (promise 1), wherever it stands. */
export class CredentialFilter {
  readonly #needles: readonly Buffer[]
  readonly #texts: readonly string[]
  readonly #first: ReadonlySet<number>

  constructor(secrets: readonly string[]) {
    this.#needles = secrets.flatMap((secret) => [...writings(secret)])
    this.#texts = this.#needles.map((needle) => needle.toString('latin1'))
    this.#first = new Set(this.#needles.map((needle) => needle[0] ?? 0))
  }

  text(text: string): string {
    return this.#texts.reduce(
      (clean, needle) => (clean.includes(needle) ? clean.replaceAll(needle, '*'.repeat(needle.length)) : clean),
      text,
    )
  }

  /** Masks in place, and says from where on a credential might have begun that is not whole yet; `bytes.length` for nowhere. */
  mask(bytes: Buffer): number {
    for (const needle of this.#needles) {
      for (let at = bytes.indexOf(needle); at !== -1; at = bytes.indexOf(needle, at + needle.length))
        bytes.fill(mask, at, at + needle.length)
    }
    return this.#findHalf(bytes)
  }

  #findHalf(bytes: Buffer): number {
    let from = bytes.length
    for (const needle of this.#needles) {
      for (let at = Math.max(0, bytes.length - needle.length + 1); at < from; at += 1) {
        if (!this.#first.has(bytes[at] ?? 0)) continue
        if (bytes.compare(needle, 0, bytes.length - at, at) === 0) from = at
      }
    }
    return from
  }

  stream(): CredentialStream {
    return new CredentialStream(this)
  }
}

/** Masks in a body as it comes; holds back only what could be the beginning of a credential. */
export class CredentialStream {
  readonly #filter: CredentialFilter
  #held: Buffer | null = null

  constructor(filter: CredentialFilter) {
    this.#filter = filter
  }

  /** What may be passed on now; null for nothing. */
  push(chunk: Buffer): Buffer | null {
    const bytes = this.#held === null ? chunk : Buffer.concat([this.#held, chunk])
    const from = this.#filter.mask(bytes)
    this.#held = from === bytes.length ? null : Buffer.from(bytes.subarray(from))
    return from === 0 ? null : bytes.subarray(0, from)
  }

  rest(): Buffer | null {
    return this.#held
  }
}
