import type { AnswerHead } from '../../protocols/http/upstreams.ts'

/** What an upstream's bytes become. */
export interface AnswerSink {
  head(head: AnswerHead): void
  data(chunk: Buffer): void
  /** The answer is whole; `reusable`: the connection can carry another. */
  end(reusable: boolean): void
}

const headBytesMax = 64 * 1024
const headersMax = 200
const interimsMax = 8
const chunkLineBytesMax = 1_024
const trailerBytesMax = 16 * 1024
const blankLine = Buffer.from('\r\n\r\n')
const lineBreak = Buffer.from('\r\n')
const empty = Buffer.alloc(0)

type State =
  | { readonly kind: 'head' }
  | { readonly kind: 'length'; left: number }
  | { readonly kind: 'close' }
  | { readonly kind: 'chunk size' }
  | { readonly kind: 'chunk'; left: number }
  | { readonly kind: 'chunk end' }
  | { readonly kind: 'trailers' }
  | { readonly kind: 'done' }

/**
 * Reads one HTTP/1.1 answer, strictly (RFC 9112): what two readers could cut differently is an error, so that no part of one answer can be taken for
 * the next. Bounded in every size; linear.
 * @throws RangeError for what is no such answer
 */
export class AnswerParser {
  readonly #sink: AnswerSink
  readonly #method: string
  #state: State = { kind: 'head' }
  #rest: Buffer = empty
  #interims = 0
  #reusable = true

  constructor(method: string, sink: AnswerSink) {
    this.#method = method
    this.#sink = sink
  }

  feed(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = empty
    while (bytes.length > 0 || this.#state.kind === 'done') {
      if (this.#state.kind === 'done') {
        if (bytes.length > 0) throw new RangeError('bytes follow the answer')
        return
      }
      const next = this.#step(this.#state, bytes)
      if (next === null) {
        this.#rest = bytes
        return
      }
      bytes = next
    }
  }

  /** The upstream ended its side. True: that was the end of the answer. */
  finish(): boolean {
    if (this.#state.kind !== 'close') return false
    this.#done(false)
    return true
  }

  /** What is left of `bytes`; null: more is needed. */
  #step(state: Exclude<State, { kind: 'done' }>, bytes: Buffer): Buffer | null {
    switch (state.kind) {
      case 'head':
        return this.#readHead(bytes)
      case 'length': {
        const part = take(bytes, state.left)
        state.left -= part.length
        this.#sink.data(part)
        if (state.left === 0) this.#done(this.#reusable)
        return bytes.subarray(part.length)
      }
      case 'close':
        this.#sink.data(bytes)
        return empty
      case 'chunk size':
        return this.#readChunkSize(bytes)
      case 'chunk': {
        const part = take(bytes, state.left)
        state.left -= part.length
        this.#sink.data(part)
        if (state.left === 0) this.#state = { kind: 'chunk end' }
        return bytes.subarray(part.length)
      }
      case 'chunk end':
        if (bytes.length < 2) return null
        if (bytes[0] !== 0x0d || bytes[1] !== 0x0a) throw new RangeError('a chunk does not end')
        this.#state = { kind: 'chunk size' }
        return bytes.subarray(2)
      case 'trailers':
        return this.#skipTrailers(bytes)
    }
  }

  #done(reusable: boolean): void {
    this.#state = { kind: 'done' }
    this.#sink.end(reusable)
  }

  #readHead(bytes: Buffer): Buffer | null {
    const end = bytes.indexOf(blankLine)
    if (end === -1 || end > headBytesMax) {
      if (bytes.length > headBytesMax) throw new RangeError('a head that is too large')
      return null
    }
    const [statusLine = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n')
    const [, minor, code, reason = ''] = /^HTTP\/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?$/.exec(statusLine) ?? []
    if (code === undefined) throw new RangeError('a status line that is none')
    const status = Number(code)
    const rest = bytes.subarray(end + 4)
    if (status < 200) {
      this.#interims += 1
      if (status === 101 || this.#interims > interimsMax) throw new RangeError('an interim answer nobody asked for')
      return rest
    }
    this.#begin(status, reason, readHeaders(lines), minor === '1')
    return rest
  }

  #begin(status: number, reason: string, headers: readonly (readonly [string, string])[], persistent: boolean): void {
    const all = (wanted: string): readonly string[] => headers.filter(([name]) => name === wanted).map(([, value]) => value)
    const codings = all('transfer-encoding')
    const lengths = all('content-length')
    const options = all('connection')
      .join(',')
      .toLowerCase()
      .split(',')
      .map((option) => option.trim())
    this.#reusable = persistent && !options.includes('close')
    const bodiless = this.#method === 'HEAD' || status === 204 || status === 304
    this.#state = bodiless ? { kind: 'length', left: 0 } : framing(codings, lengths, persistent)
    this.#sink.head({ status, reason, headers: headers.filter(([name]) => !hopByHop.has(name) && !options.includes(name)) })
    if (this.#state.kind === 'length' && this.#state.left === 0) this.#done(this.#reusable)
  }

  #readChunkSize(bytes: Buffer): Buffer | null {
    const end = bytes.indexOf(lineBreak)
    if (end === -1 || end > chunkLineBytesMax) {
      if (bytes.length > chunkLineBytesMax) throw new RangeError('a chunk size that is too long')
      return null
    }
    const [, size] = /^([0-9a-fA-F]{1,8})[ \t]*(?:;[\t\x20-\x7e]*)?$/.exec(bytes.toString('latin1', 0, end)) ?? []
    if (size === undefined) throw new RangeError('a chunk size that is none')
    const left = Number.parseInt(size, 16)
    this.#state = left === 0 ? { kind: 'trailers' } : { kind: 'chunk', left }
    return bytes.subarray(end + 2)
  }

  /** Trailers are not passed on: whoever waits for headers has decided by the ones it had. */
  #skipTrailers(bytes: Buffer): Buffer | null {
    if (bytes.length >= 2 && bytes[0] === 0x0d && bytes[1] === 0x0a) {
      this.#done(this.#reusable)
      return bytes.subarray(2)
    }
    const end = bytes.indexOf(blankLine)
    if (end === -1 || end > trailerBytesMax) {
      if (bytes.length > trailerBytesMax) throw new RangeError('trailers that are too large')
      return null
    }
    this.#done(this.#reusable)
    return bytes.subarray(end + 4)
  }
}

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authentication-info',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
])

function framing(codings: readonly string[], lengths: readonly string[], persistent: boolean): State {
  const [coding] = codings
  if (coding !== undefined) {
    if (codings.length > 1 || lengths.length > 0 || coding.toLowerCase() !== 'chunked' || !persistent)
      throw new RangeError('a body whose length is said in two ways')
    return { kind: 'chunk size' }
  }
  const [length] = lengths
  if (length === undefined) return { kind: 'close' }
  if (lengths.length > 1 || !/^(0|[1-9][0-9]{0,14})$/.test(length)) throw new RangeError('a length that is none')
  return { kind: 'length', left: Number(length) }
}

/** Names in lower case. */
function readHeaders(lines: readonly string[]): readonly (readonly [string, string])[] {
  if (lines.length > headersMax) throw new RangeError('too many headers')
  return lines.map((line) => {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/.exec(line) ?? []
    if (name === undefined || value === undefined) throw new RangeError('a header that is none')
    return [name.toLowerCase(), value.trimEnd()] as const
  })
}

function take(bytes: Buffer, most: number): Buffer {
  return bytes.length <= most ? bytes : bytes.subarray(0, most)
}
