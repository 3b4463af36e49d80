/** WAL that was received and is not yet durable, in order and without a gap. */
export class WalBuffer {
  readonly #pieces: Uint8Array[] = []
  #from: bigint
  #bytes = 0

  constructor(from: bigint) {
    this.#from = from
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Where it begins: everything before is durable. */
  get from(): bigint {
    return this.#from
  }

  get end(): bigint {
    return this.#from + BigInt(this.#bytes)
  }

  add(bytes: Uint8Array): void {
    this.#pieces.push(bytes)
    this.#bytes += bytes.length
  }

  /** The first bytes, at most so many; they stay until `drop`. */
  peek(max: number): Buffer {
    const taken: Uint8Array[] = []
    let left = max
    for (const piece of this.#pieces) {
      if (left === 0) break
      const part = piece.subarray(0, left)
      taken.push(part)
      left -= part.length
    }
    return Buffer.concat(taken)
  }

  /** Forgets everything before a position. */
  drop(until: bigint): void {
    let left = Number(until - this.#from)
    if (left <= 0 || left > this.#bytes) return
    this.#from = until
    this.#bytes -= left
    while (left > 0) {
      const [first] = this.#pieces
      if (!first) return
      if (first.length <= left) this.#pieces.shift()
      else this.#pieces[0] = first.subarray(left)
      left -= Math.min(left, first.length)
    }
  }
}
