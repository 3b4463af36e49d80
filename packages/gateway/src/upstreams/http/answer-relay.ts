import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'
import type { Transform } from 'node:stream'
import { SallyportError } from '@sallyport/core'
import type { AnswerHead, AnswerListener } from '../../protocols/http/upstreams.ts'
import type { AnswerSink } from './answer-parser.ts'
import type { CredentialFilter, CredentialStream } from './credential-filter.ts'

/** What an encoded answer may open to: the gate opens it only to search it. */
const openedBytesMax = 256 * 1024 * 1024

/** A cookie of the upstream is a credential of the upstream; the others would let it speak for the gate. */
const withheld = new Set(['set-cookie', 'set-cookie2', 'authorization', 'proxy-authorization', 'alt-svc'])

export interface RelayControl {
  pause(): void
  resume(): void
  /** The answer is whole and read. */
  done(reusable: boolean): void
  /** The answer can't be passed on. */
  fail(error: SallyportError): void
}

/** Passes an answer on without cookies and without the credential. */
export class AnswerRelay implements AnswerSink {
  readonly #listener: AnswerListener
  readonly #filter: CredentialFilter
  readonly #stream: CredentialStream
  readonly #control: RelayControl
  readonly #isHead: boolean
  #opener: Transform | null = null
  #openedBytes = 0

  constructor(method: string, listener: AnswerListener, filter: CredentialFilter, control: RelayControl) {
    this.#isHead = method === 'HEAD'
    this.#listener = listener
    this.#filter = filter
    this.#stream = filter.stream()
    this.#control = control
  }

  head(head: AnswerHead): void {
    const headers = head.headers
      .filter(([name]) => !withheld.has(name))
      .map(([name, value]) => [this.#filter.text(name), this.#filter.text(value)] as const)
    const reason = this.#filter.text(head.reason)
    const codings = headers.filter(([name]) => name === 'content-encoding').flatMap(([, value]) => value.toLowerCase().split(','))
    const opened = codings.map((coding) => coding.trim()).filter((coding) => coding !== '' && coding !== 'identity')
    if (opened.length > 0 && !this.#isHead) this.#open(opened)
    const kept =
      this.#opener === null ? headers : headers.filter(([name]) => name !== 'content-encoding' && name !== 'content-length')
    this.#listener.head({ status: head.status, reason, headers: kept })
  }

  /** The gate asked for no encoding; an upstream that encodes all the same is opened, since nobody can search a closed box. */
  #open(codings: readonly string[]): void {
    const [coding = '', second] = codings
    const opener = second === undefined ? openerOf(coding) : null
    if (opener === null) throw new RangeError('an encoding that the gate cannot open')
    this.#opener = opener
    opener.on('data', (chunk: Buffer) => {
      this.#openedBytes += chunk.length
      if (this.#openedBytes > openedBytesMax) return this.#control.fail(badAnswer('it opens to too much'))
      if (!this.#pass(chunk)) opener.pause()
      this.#listener.turn()
    })
    opener.on('drain', () => this.#control.resume())
    opener.on('error', () => this.#control.fail(badAnswer('its encoding is broken')))
  }

  data(chunk: Buffer): void {
    const room = this.#opener === null ? this.#pass(chunk) : this.#opener.write(chunk)
    if (!room) this.#control.pause()
  }

  #pass(chunk: Buffer): boolean {
    const clean = this.#stream.push(chunk)
    return clean === null ? true : this.#listener.data(clean)
  }

  end(reusable: boolean): void {
    if (this.#opener === null) return this.#finish(reusable)
    this.#opener.once('end', () => this.#finish(reusable))
    this.#opener.end()
  }

  #finish(reusable: boolean): void {
    const rest = this.#stream.rest()
    if (rest !== null) this.#listener.data(rest)
    this.#control.done(reusable)
    this.#listener.end()
  }

  resume(): void {
    this.#opener?.resume()
  }

  close(): void {
    this.#opener?.destroy()
  }
}

function openerOf(coding: string): Transform | null {
  switch (coding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip()
    case 'br':
      return createBrotliDecompress()
    case 'deflate':
      return createInflate()
    case 'zstd':
      return createZstdDecompress()
    default:
      return null
  }
}

export function badAnswer(why: string): SallyportError {
  return new SallyportError(
    'upstream_failed',
    `The upstream's answer can't be passed on: ${why}.`,
    'The request was sent; whether it ran is not known.',
    'Look at the upstream before you try again.',
  )
}
