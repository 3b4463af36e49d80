/** One part of a copy, read in order, what is in it one thing after the other. */
export class PartReading {
  readonly #pieces: AsyncIterator<Uint8Array>
  #held: Uint8Array = new Uint8Array()
  #at = 0

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#pieces = bytes[Symbol.asyncIterator]()
  }

  /** How much of it was read. */
  get at(): number {
    return this.#at
  }

  /** The next bytes, so many. @throws Error when the part ends before */
  async *take(count: number): AsyncGenerator<Uint8Array, void, undefined> {
    for (let left = count; left > 0;) {
      const piece = await this.#next(left)
      if (piece === null) throw new Error('a part of the copy ends too early')
      left -= piece.length
      yield piece
    }
  }

  /** @throws Error when more follows than was taken */
  async end(): Promise<void> {
    if ((await this.#next(1)) !== null) throw new Error('a part of the copy holds more than it should')
  }

  /** Lets go of what it is read from, wherever it is. */
  async close(): Promise<void> {
    await this.#pieces.return?.()
  }

  async #next(max: number): Promise<Uint8Array | null> {
    while (this.#held.length === 0) {
      const next = await this.#pieces.next()
      if (next.done === true) return null
      this.#held = next.value
    }
    const piece = this.#held.subarray(0, max)
    this.#held = this.#held.subarray(piece.length)
    this.#at += piece.length
    return piece
  }
}
