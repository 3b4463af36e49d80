import { server } from './wire.ts'

/** Bytes held back while a counted statement runs. */
export const heldBytesMax = 1024 * 1024

/** Answers of the server's that the client must not see yet. */
export class HeldBack {
  #messages: Buffer[] | null = null
  #bytes = 0

  get isOn(): boolean {
    return this.#messages !== null
  }

  begin(): void {
    this.#messages = []
    this.#bytes = 0
  }

  /** What was held by now; what comes is held too if it was before. */
  takeOut(): readonly Buffer[] {
    const taken = this.#messages ?? []
    if (this.#messages !== null) this.begin()
    return taken
  }

  /** True: held, a copy of it. */
  add(bytes: Buffer, at: number, next: number): boolean {
    if (this.#messages === null) return false
    this.#bytes += next - at
    if (this.#bytes <= heldBytesMax) this.#messages.push(Buffer.from(bytes.subarray(at, next)))
    return true
  }

  /** What was held, without ReadyForQuery; null when it was more than may be held. */
  release(): readonly Buffer[] | null {
    const messages = this.#messages ?? []
    const isOver = this.#bytes > heldBytesMax
    this.#messages = null
    this.#bytes = 0
    return isOver ? null : messages.filter((message) => message[0] !== server.ready)
  }
}
