import type { ServerResponse } from 'node:http'
import type { SallyportError } from '@sallyport/core'
import { refusedBy, renderProblem } from './refusal.ts'
import type { AnswerHead, AnswerListener, Flow } from './upstreams.ts'

/** What arrived of an answer, for judging what came of the request. */
export interface Answered {
  /** 0: nothing that could be read. */
  readonly status: number
  readonly whole: boolean
  readonly body: Buffer | null
}

/** Hands an answer to the client as it comes, and its end only after the outcome is on the log. */
export class AnswerWriter implements AnswerListener {
  readonly #response: ServerResponse
  readonly #isHead: boolean
  readonly #keepBytes: number
  readonly #answered: Promise<Answered>
  #settle: (answered: Answered) => void = () => undefined
  #head: AnswerHead | null = null
  #headSent = false
  #ended = false
  #held: Buffer[] = []
  #kept: Buffer[] | null = []
  #keptBytes = 0
  #flow: Flow | null = null
  #error: SallyportError | null = null

  constructor(response: ServerResponse, about: { readonly method: string; readonly keepBytes: number }) {
    this.#response = response
    this.#isHead = about.method === 'HEAD'
    this.#keepBytes = about.keepBytes
    this.#answered = new Promise((resolve) => (this.#settle = resolve))
  }

  /** What to do with the rest when the client leaves: drop the connection, or read it for its outcome. */
  flow(flow: Flow, gone: AbortSignal, whenGone: 'abandon' | 'read on'): void {
    this.#flow = flow
    this.#response.on('drain', () => flow.resume())
    const leave = (): void => {
      if (whenGone === 'abandon') flow.abandon()
      else flow.resume()
    }
    if (gone.aborted) leave()
    else gone.addEventListener('abort', leave, { once: true })
    void this.#answered.then(() => gone.removeEventListener('abort', leave))
  }

  head(head: AnswerHead): void {
    this.#head = head
  }

  data(chunk: Buffer): boolean {
    this.#keep(chunk)
    if (this.#isHead) return true
    this.#held.push(chunk)
    return this.#response.destroyed || !this.#response.writableNeedDrain
  }

  #keep(chunk: Buffer): void {
    this.#keptBytes += chunk.length
    if (this.#keptBytes > this.#keepBytes) this.#kept = null
    else this.#kept?.push(chunk)
  }

  /** Writes what came in one turn at once, so that a short answer is one write. */
  turn(): void {
    if (this.#ended || this.#head === null || this.#response.destroyed || this.#held.length === 0) return
    this.#sendHead(this.#head)
    const held = this.#held
    this.#held = []
    for (const chunk of held) this.#response.write(chunk)
  }

  end(): void {
    this.#ended = true
    this.#settle({ status: this.#head?.status ?? 0, whole: true, body: this.#kept === null ? null : Buffer.concat(this.#kept) })
  }

  failed(error: SallyportError): void {
    this.#error = error
    this.#settle({ status: this.#head?.status ?? 0, whole: false, body: null })
  }

  /** Resolves when the answer is over, `conclude` has said so on the log, and the client has been given its end. */
  async finish(conclude: (answered: Answered) => Promise<void>): Promise<void> {
    const answered = await this.#answered
    try {
      await conclude(answered)
    } catch (error) {
      this.#flow?.abandon()
      return this.#breakOff(error)
    }
    if (!answered.whole) return this.#breakOff(this.#error)
    if (this.#response.destroyed || this.#head === null) return
    this.#sendHead(this.#head)
    const [only, more] = this.#held
    if (more === undefined) this.#response.end(only)
    else this.#response.end(Buffer.concat(this.#held))
  }

  #sendHead(head: AnswerHead): void {
    if (this.#headSent) return
    this.#headSent = true
    this.#response.sendDate = false
    this.#response.writeHead(head.status, head.reason, head.headers.flat())
  }

  /** A client that has had a part must not take it for the whole. */
  #breakOff(error: unknown): void {
    if (this.#response.destroyed) return
    if (this.#headSent) {
      this.#response.destroy()
      return
    }
    const { status, contentType, body } = renderProblem(refusedBy(error))
    this.#response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) })
    this.#response.end(body)
  }
}
