import { SallyportError, type HttpAccess } from '@sallyport/core'
import { writeAuthority } from '../../protocols/http/origin.ts'
import { renderHead } from '../../protocols/http/payload-digest.ts'
import type { AnswerListener, Message } from '../../protocols/http/upstreams.ts'
import { checkMessage, type GovernedAbout } from './governed.ts'
import type { Pool } from './pool.ts'

const answerBytesMax = 4 * 1024 * 1024
const answerTimeoutMs = 15_000
/** No agent can be called so: connections of the gate's own questions carry nobody else's. */
const ownSubject = ' gate'

/** The gate's own way in, by which connectors look at what things are. */
export function openGateAccess(
  about: Pick<GovernedAbout, 'name' | 'origin'> & { readonly credentialLine: string },
  pool: Pool,
): Omit<HttpAccess, 'tied'> {
  return {
    kind: 'http',
    ask: async (method, path, headers, body) => {
      const message: Message = {
        method,
        target: path,
        headers: [
          ['host', writeAuthority(about.origin)],
          ...Object.entries(headers).filter(([name]) => !reserved.has(name.toLowerCase())),
          ['accept-encoding', 'identity'],
          ...(body === null ? [] : [['content-length', String(body.length)] as const]),
        ],
        body: body === null ? Buffer.alloc(0) : Buffer.from(body),
      }
      checkMessage(message, about)
      const deadline = AbortSignal.timeout(answerTimeoutMs)
      const connection = await pool.acquire(ownSubject, deadline)
      const collected = new Collected()
      const head = `${renderHead(message)}${about.credentialLine}\r\n\r\n`
      const flow = connection.exchange({ method, head, body: message.body, signal: deadline, answerTimeoutMs }, collected)
      return collected.answer(() => flow.abandon())
    },
  }
}

const reserved = new Set(['host', 'content-length', 'transfer-encoding', 'connection', 'authorization', 'accept-encoding'])

class Collected implements AnswerListener {
  readonly #chunks: Buffer[] = []
  #bytes = 0
  #status = 0
  #abandon: () => void = () => undefined
  #resolve: (answer: { status: number; body: Uint8Array }) => void = () => undefined
  #reject: (error: SallyportError) => void = () => undefined

  answer(abandon: () => void): Promise<{ readonly status: number; readonly body: Uint8Array }> {
    this.#abandon = abandon
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  head({ status }: { readonly status: number }): void {
    this.#status = status
  }

  data(chunk: Buffer): boolean {
    this.#bytes += chunk.length
    if (this.#bytes <= answerBytesMax) {
      // A copy: what is kept for long should not hold a whole read buffer.
      this.#chunks.push(Buffer.from(chunk))
      return true
    }
    this.#abandon()
    this.#reject(
      new SallyportError(
        'too_large',
        `An answer of more than ${answerBytesMax} bytes.`,
        'The gate could not look at the upstream.',
        'Ask for less.',
      ),
    )
    return true
  }

  turn(): void {
    // Everything is kept as it comes.
  }

  end(): void {
    this.#resolve({ status: this.#status, body: Buffer.concat(this.#chunks) })
  }

  failed(error: SallyportError): void {
    this.#reject(error)
  }
}
