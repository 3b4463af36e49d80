import { z } from 'zod'

/** One public key of an issuer, as it publishes it (RFC 7517). */
const key = z.looseObject({
  kty: z.enum(['RSA', 'EC', 'OKP']),
  kid: z.string().max(512).exactOptional(),
  use: z.string().exactOptional(),
  alg: z.string().exactOptional(),
})
export type PublicKey = z.infer<typeof key>

const keysMax = 100
const keySetShape = z.object({ keys: z.array(z.unknown()).max(keysMax) })
const discoveryShape = z.object({ issuer: z.string(), jwks_uri: z.url({ protocol: /^https$/ }) })

/** Keys are asked for again after this time: one that an issuer withdrew counts no longer. */
const freshMs = 10 * 60_000
/** A token with a key that is not known makes us look again at most this often, and a failure is not tried again before. */
const againAfterMs = 30_000

export interface KeySource {
  /** As tokens have it in `iss`. */
  readonly issuer: string
  /** Null: by discovery. */
  readonly file: string | null
}

export interface KeyPorts {
  nowMs(): number
  /** @throws Error that says why */
  fetch(url: string): Promise<unknown>
  /** @throws Error that says why */
  read(path: string): Promise<unknown>
}

/** The keys of one issuer. However many tokens come, it is asked at most once in 30 s, and never for a token of somebody else's. */
export class IssuerKeys {
  readonly #source: KeySource
  readonly #ports: KeyPorts
  #keys: readonly PublicKey[] = []
  #fetchedAtMs = Number.NEGATIVE_INFINITY
  #triedAtMs = Number.NEGATIVE_INFINITY
  #asking: Promise<void> | null = null

  constructor(source: KeySource, ports: KeyPorts) {
    this.#source = source
    this.#ports = ports
  }

  /** The key of this id; null: the issuer has none. Without an id, the only one there is. @throws Error where the issuer cannot be asked and what is known is too old */
  async find(id: string | undefined): Promise<PublicKey | null> {
    if (!this.#isFresh()) await this.#askAgain()
    if (!this.#isFresh()) throw new Error('the issuer’s keys could not be had')
    const known = this.#pick(id)
    if (known !== null) return known
    await this.#askAgain()
    return this.#isFresh() ? this.#pick(id) : null
  }

  #pick(id: string | undefined): PublicKey | null {
    const fitting = id === undefined ? this.#keys : this.#keys.filter(({ kid }) => kid === id)
    const [only] = fitting
    return only !== undefined && fitting.length === 1 ? only : null
  }

  /** A clock that was set back makes nothing fresh. */
  #isFresh(): boolean {
    const age = this.#ports.nowMs() - this.#fetchedAtMs
    return age >= 0 && age < freshMs
  }

  async #askAgain(): Promise<void> {
    if (this.#asking === null) {
      const age = this.#ports.nowMs() - this.#triedAtMs
      if (age >= 0 && age < againAfterMs) return
      this.#triedAtMs = this.#ports.nowMs()
      this.#asking = this.#ask().finally(() => (this.#asking = null))
    }
    // What failed is told by the keys that are not fresh.
    await this.#asking.catch(() => undefined)
  }

  async #ask(): Promise<void> {
    const { file } = this.#source
    const found = file === null ? await this.#discover() : await this.#ports.read(file)
    const keys = keySetShape.parse(found).keys.flatMap((one) => {
      const parsed = key.safeParse(one)
      // Symmetric keys are no public ones, and keys for encryption sign nothing.
      return parsed.success && (parsed.data.use ?? 'sig') === 'sig' ? [parsed.data] : []
    })
    this.#keys = keys
    this.#fetchedAtMs = this.#ports.nowMs()
  }

  async #discover(): Promise<unknown> {
    const { issuer } = this.#source
    const document = discoveryShape.parse(
      await this.#ports.fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`),
    )
    if (document.issuer !== issuer) throw new Error('the document found there is of another issuer')
    return this.#ports.fetch(document.jwks_uri)
  }
}
