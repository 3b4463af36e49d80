import type { SallyportError } from '@sallyport/core'
import type { Answered } from './answer-writer.ts'
import type { AnswerHead, AnswerListener, Flow } from './upstreams.ts'

/** An answer that was kept for whoever asked. */
export interface WholeAnswer {
  readonly head: AnswerHead
  readonly body: Buffer
}

/** Keeps an answer that no client is there for; read to its end, since its outcome belongs on the log. */
export class KeptAnswer implements AnswerListener {
  readonly answered: Promise<Answered>
  readonly #bytesMax: number
  #settle: (answered: Answered) => void = () => undefined
  #head: AnswerHead | null = null
  #chunks: Buffer[] | null = []
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
    this.answered = new Promise((resolve) => (this.#settle = resolve))
  }

  flow(flow: Flow): void {
    flow.resume()
  }

  head(head: AnswerHead): void {
    this.#head = head
  }

  data(chunk: Buffer): boolean {
    this.#bytes += chunk.length
    if (this.#bytes > this.#bytesMax) this.#chunks = null
    else this.#chunks?.push(Buffer.from(chunk))
    return true
  }

  turn(): void {
    // Everything is kept as it comes.
  }

  end(): void {
    this.#settle({
      status: this.#head?.status ?? 0,
      whole: true,
      body: this.#chunks === null ? null : Buffer.concat(this.#chunks),
    })
  }

  failed(_error: SallyportError): void {
    this.#chunks = null
    this.#settle({ status: this.#head?.status ?? 0, whole: false, body: null })
  }

  /** Null: it broke off, or is longer than is kept. */
  whole(): WholeAnswer | null {
    return this.#head === null || this.#chunks === null ? null : { head: this.#head, body: Buffer.concat(this.#chunks) }
  }
}
