/** What is left of a stream after its last whole message, kept without joining until enough has come. */
export class Tail {
  #chunks: Buffer[] = []
  #length = 0
  #needed = 0

  get length(): number {
    return this.#length
  }

  /** The bytes to walk now, or null while the message that was cut off is still not whole. */
  join(chunk: Buffer): Buffer | null {
    if (this.#length === 0) return chunk
    this.#chunks.push(chunk)
    this.#length += chunk.length
    if (this.#length < this.#needed) return null
    const joined = Buffer.concat(this.#chunks, this.#length)
    this.clear()
    return joined
  }

  /** Keeps the rest; `needed` is how long it must get before it is worth walking again. */
  keep(rest: Buffer, needed: number): void {
    this.#chunks = [rest]
    this.#length = rest.length
    this.#needed = needed
  }

  /** Everything kept, joined; nothing is kept after. */
  take(): Buffer {
    const joined = this.#chunks.length === 1 ? (this.#chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(this.#chunks, this.#length)
    this.clear()
    return joined
  }

  clear(): void {
    this.#chunks = []
    this.#length = 0
    this.#needed = 0
  }
}
