/**
 * Keys under which a verdict on SQL may be remembered (DESIGN §11, §13). Two texts get one key only when they differ in nothing but the
 * digits of whole numbers that fit int4, so that neither tokens, names nor types can differ.
 */

/** Longest text that gets a key, bytes. */
const keyBytesMax = 2_048
/** Longer runs of digits may be bigint or numeric, which can select another overload of a function. */
const foldedDigitsMax = 9

const zero = 0x30
const semicolon = 0x3b
const folded = 0x66
const exact = 0x78

// One table instead of comparisons: 0 other, 1 identifier byte that is no digit, 2 digit, 3 stops folding, 4 blank.
const classes = new Uint8Array(256)
for (let byte = 0x80; byte < 256; byte += 1) classes[byte] = 3
for (let byte = 0x41; byte <= 0x5a; byte += 1) classes[byte] = 1
for (let byte = 0x61; byte <= 0x7a; byte += 1) classes[byte] = 1
for (let byte = 0x30; byte <= 0x39; byte += 1) classes[byte] = 2
classes[0x5f] = 1
for (const stop of [0, 0x22, 0x24, 0x27, 0x2f, 0x5c, 0x60]) classes[stop] = 3
for (const blank of [0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x20]) classes[blank] = 4

/** Writes keys behind a prefix into a buffer of its own, so that one key costs one string. */
export class KeyWriter {
  #scratch: Buffer
  #prefixLength: number

  constructor(prefix: string) {
    const bytes = Buffer.from(prefix, 'utf8')
    this.#scratch = Buffer.alloc(bytes.length + 1 + keyBytesMax)
    bytes.copy(this.#scratch)
    this.#prefixLength = bytes.length
  }

  /** Null: too long, or several statements, or one that can change what later text means: never remembered. */
  write(buffer: Buffer, start: number, end: number): string | null {
    if (end - start > keyBytesMax) return null
    if (!isPlainStart(buffer, start, end)) return null
    const length = this.#fold(buffer, start, end)
    if (length > 0) return this.#scratch.toString('latin1', 0, length)
    if (length === several) return null
    return this.#exact(buffer, start, end)
  }

  #fold(buffer: Buffer, start: number, end: number): number {
    const scratch = this.#scratch
    let to = this.#prefixLength
    scratch[to++] = folded
    let previous = 0
    let ended = false
    for (let at = start; at < end; at += 1) {
      const byte = buffer[at] ?? 0
      const kind = classes[byte] ?? 3
      if (kind === 3) return unfoldable
      if (ended && kind !== 4) return several
      if (byte === semicolon) ended = true
      if (byte === 0x2d && buffer[at + 1] === 0x2d) return unfoldable
      if (kind !== 2 || previous === 1 || previous === 2) {
        scratch[to++] = byte
        previous = kind
        continue
      }
      let stop = at + 1
      while (stop < end && classes[buffer[stop] ?? 0] === 2) stop += 1
      const next = stop < end ? (classes[buffer[stop] ?? 0] ?? 3) : 0
      if (stop - at > foldedDigitsMax || next === 1) {
        // A literal of another type, or one such as 0x1f: kept as it is.
        scratch[to++] = byte
        previous = 2
        continue
      }
      scratch[to++] = zero
      at = stop - 1
      previous = 0
    }
    return to
  }

  #exact(buffer: Buffer, start: number, end: number): string | null {
    const mark = buffer.indexOf(semicolon, start)
    if (mark !== -1 && mark < end) {
      for (let at = mark + 1; at < end; at += 1) if (classes[buffer[at] ?? 0] !== 4) return null
    }
    if (containsSetConfig(buffer.toString('latin1', start, end))) return null
    this.#scratch[this.#prefixLength] = exact
    buffer.copy(this.#scratch, this.#prefixLength + 1, start, end)
    return this.#scratch.toString('latin1', 0, this.#prefixLength + 1 + end - start)
  }
}

const unfoldable = -1
const several = -2

/** First three letters of the statements that can change neither settings nor what names mean when they are only a read or plain DML. */
const plainStarts = new Set(
  [
    'sel',
    'ins',
    'upd',
    'del',
    'mer',
    'val',
    'tab',
    'wit',
    'sho',
    'beg',
    'sta',
    'com',
    'end',
    'rol',
    'abo',
    'sav',
    'rel',
    'fet',
    'mov',
    'exp',
    'cop',
  ].map((letters) => packed(letters.charCodeAt(0), letters.charCodeAt(1), letters.charCodeAt(2))),
)

function packed(first: number, second: number, third: number): number {
  return ((first | 0x20) << 16) | ((second | 0x20) << 8) | (third | 0x20)
}

function isPlainStart(buffer: Buffer, start: number, end: number): boolean {
  let at = start
  while (at < end && (classes[buffer[at] ?? 0] === 4 || buffer[at] === 0x28)) at += 1
  if (buffer[at] === 0x2f) at = afterComment(buffer, at, end)
  if (at + 3 > end) return false
  return plainStarts.has(packed(buffer[at] ?? 0, buffer[at + 1] ?? 0, buffer[at + 2] ?? 0))
}

/** Past one leading block comment that nests nothing; else where it began, which is no plain start. */
function afterComment(buffer: Buffer, start: number, end: number): number {
  const close = buffer.indexOf('*/', start + 2)
  if (buffer[start + 1] !== 0x2a || close === -1 || close >= end) return start
  const inner = buffer.indexOf('/*', start + 2)
  if (inner !== -1 && inner < close) return start
  let at = close + 2
  while (at < end && classes[buffer[at] ?? 0] === 4) at += 1
  return at
}

function containsSetConfig(text: string): boolean {
  return /set_config|u&|\\/i.test(text)
}

/**
 * Whether running this text can change settings, prepared statements or what names mean. `kind` is govern's impact: a plain SELECT that
 * is no read calls a function, and a function can do anything. False only for what is surely plain.
 */
export function canChangeMeaning(text: string, kind: string): boolean {
  const bytes = Buffer.from(text, 'utf8')
  if (!isPlainStart(bytes, 0, bytes.length)) return true
  if (/;\s*\S/.test(text)) return true
  if (kind === 'read') return false
  if (kind !== 'write' && kind !== 'destroy') return true
  return (
    !/^\s*(insert|update|delete|merge|copy|begin|start|commit|end|rollback|abort|savepoint|release)\b/i.test(text) ||
    containsSetConfig(text)
  )
}

/** Whether this text may end a transaction, and with it what was set inside it. */
export function mayEndTransaction(text: string): boolean {
  return !/^\s*(select|insert|update|delete|merge|values|table|with|show|fetch)\b/i.test(text)
}

/** Whether a text of one statement may begin, end or divide a transaction: one that begins with a word of data cannot, any other may when it has such a word. */
export function controlsTransaction(text: string): boolean {
  return mayEndTransaction(text) && /\b(begin|commit|end|rollback|abort|start|savepoint|release|prepare)\b/i.test(text)
}
