import { Worker } from 'node:worker_threads'
import { z } from 'zod'
import type { Suspect } from './stray-token.ts'

/** A text that keeps secretlint busy longer than this is given up. */
const textTimeoutMs = 5_000
/** Longer texts are left to our own shapes. */
const textLengthMax = 512 * 1024

const answerShape = z.array(z.object({ rule: z.string(), from: z.number(), to: z.number() })).nullable()

/** What a credential is made of: a long run of letters and digits, or a password in a URL. Everything else needs no closer look. */
const worthALook = /[A-Za-z0-9+/=_-]{16}|:\/\/[^\s/]{0,200}@|PRIVATE KEY/

/** Texts that one worker reads. Its performance marks pile up, and clearing them breaks what still wants to measure between them. */
const textsPerWorkerMax = 500

type Answer = z.infer<typeof answerShape>

/** secretlint's rules, beside our own shapes. */
export class Secretlint {
  #worker: Worker | null = null
  #read = 0
  /** Who waits for the worker's next word. */
  #answer: (answer: Answer) => void = () => undefined
  /** Texts it did not get through with. */
  givenUp = 0

  async find(text: string): Promise<readonly Suspect[]> {
    if (!worthALook.test(text)) return []
    const found = text.length > textLengthMax ? null : await this.#ask(text)
    if (found === null) {
      this.givenUp += 1
      return []
    }
    return found.map(({ rule, from, to }) => ({ kind: `${rule} (secretlint)`, from, to }))
  }

  async #ask(text: string): Promise<Answer> {
    if (this.#read >= textsPerWorkerMax) await this.close()
    const worker = (this.#worker ??= this.#start())
    this.#read += 1
    let timer: NodeJS.Timeout | undefined
    const answer = await new Promise<Answer>((resolve) => {
      this.#answer = resolve
      timer = setTimeout(() => resolve(null), textTimeoutMs)
      worker.postMessage({ text })
    })
    clearTimeout(timer)
    if (answer === null) await this.close()
    return answer
  }

  #start(): Worker {
    const worker = new Worker(new URL('./secretlint-worker.ts', import.meta.url))
    worker.on('message', (message: unknown) => {
      const answer = answerShape.safeParse(message)
      this.#answer(answer.success ? answer.data : null)
    })
    // It may fail after its answer, too; whoever waits by then gets no answer.
    const failed = (): void => this.#answer(null)
    worker.on('error', failed).on('exit', failed)
    return worker
  }

  async close(): Promise<void> {
    const worker = this.#worker
    this.#worker = null
    this.#read = 0
    this.#answer = () => undefined
    worker?.removeAllListeners().on('error', () => undefined)
    await worker?.terminate()
  }
}
