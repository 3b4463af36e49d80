import { headerBytes } from './wire.ts'

/** Thrown into whoever waits for more bytes of a client that is gone. */
export class ClientGone extends Error {
  constructor() {
    super('the client is gone')
    this.name = 'ClientGone'
  }
}

/** What a client sent from the message on that can't be forwarded at once: kept in order until it can. */
export class Held {
  bytes: Buffer
  #more: Buffer[] = []
  #moreBytes = 0
  #wake: (() => void) | null = null
  #gone = false
  #messageBytesMax: number

  constructor(bytes: Buffer, messageBytesMax: number) {
    this.bytes = bytes
    this.#messageBytesMax = messageBytesMax
  }

  get length(): number {
    return this.bytes.length + this.#moreBytes
  }

  /** True while someone waits for bytes that have not come: the client must not be paused. */
  get waiting(): boolean {
    return this.#wake !== null
  }

  add(chunk: Buffer): void {
    this.#more.push(chunk)
    this.#moreBytes += chunk.length
    this.rouse()
  }

  end(): void {
    this.#gone = true
    this.rouse()
  }

  /** Everything that has come, joined. */
  present(): Buffer {
    if (this.#moreBytes > 0) {
      const [first] = this.#more
      const isOne = this.bytes.length === 0 && this.#more.length === 1 && first !== undefined
      this.bytes = isOne ? first : Buffer.concat([this.bytes, ...this.#more])
      this.#more = []
      this.#moreBytes = 0
    }
    return this.bytes
  }

  /** At most so many bytes off the head, as they have come. */
  take(bytesMax: number): Buffer {
    const taken = this.present().subarray(0, bytesMax)
    this.bytes = this.bytes.subarray(taken.length)
    return taken
  }

  /** Resolves when more has come, or whoever waits is roused. `onWait` is told that the client must be read on. */
  async more(onWait: () => void): Promise<void> {
    if (this.#gone) throw new ClientGone()
    if (this.#moreBytes > 0) return
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      onWait()
    })
    if (this.#gone) throw new ClientGone()
  }

  rouse(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }

  /** End of the message at `at` if it is whole already, else null. @throws RangeError for an impossible length */
  wholeEnd(at: number): number | null {
    if (this.#moreBytes > 0 && this.length >= at + headerBytes) this.#join(at)
    if (this.bytes.length < at + headerBytes) return null
    const next = at + 1 + this.#lengthAt(at)
    return next > this.bytes.length ? null : next
  }

  /** Joins only when that makes the message at `at` whole, so that a long message is joined once. */
  #join(at: number): void {
    if (this.bytes.length >= at + headerBytes && at + 1 + this.#lengthAt(at) > this.length) return
    this.bytes = Buffer.concat([this.bytes, ...this.#more])
    this.#more = []
    this.#moreBytes = 0
  }

  #lengthAt(at: number): number {
    const length = this.bytes.readInt32BE(at + 1)
    if (length < 4 || length > this.#messageBytesMax) throw new RangeError('a message of impossible length')
    return length
  }

  /** End of the message at `at`, once it is whole. `onWait` is told that the client must be read on. */
  async messageEnd(at: number, onWait: () => void): Promise<number> {
    for (;;) {
      if (this.#gone) throw new ClientGone()
      const end = this.wholeEnd(at)
      if (end !== null) return end
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        onWait()
      })
    }
  }

  /** Puts bytes before all that has come. */
  prepend(bytes: Buffer): void {
    this.bytes = Buffer.concat([bytes, this.bytes])
  }

  drop(end: number): void {
    this.bytes = this.bytes.subarray(end)
  }

  /** All that is left. */
  rest(): Buffer {
    return this.#moreBytes === 0 ? this.bytes : Buffer.concat([this.bytes, ...this.#more])
  }
}
