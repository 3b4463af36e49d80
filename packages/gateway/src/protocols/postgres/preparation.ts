import { hash } from 'node:crypto'
import { isUtf8 } from 'node:buffer'
import { SallyportError, type Asked, type Considered, type Refusal } from '@sallyport/core'
import type { GateChannel } from './gate-channel.ts'
import type { HeldTransaction } from './held-transaction.ts'
import type { Line } from './line.ts'
import { runsByLiteral } from './literal.ts'
import { notSupported, refusedBy, type Refused } from './refusal.ts'
import type { SessionParts } from './session-parts.ts'
import type { Statement } from './statements.ts'
import { decodeStatement, type Wanted } from './unit.ts'
import { headerBytes, readErrorFields, server } from './wire.ts'

/** A statement as it is asked about before anything is bound to it; null when its text is not UTF-8. */
export function wantPrepared(statement: Statement, key: string | null): Wanted | null {
  const sql = statement.parsed.subarray(0, statement.sqlBytes)
  if (!isUtf8(sql)) return null
  const text = sql.toString('utf8')
  return {
    unit: { bytes: statement.parsed, parsed: statement.parsed },
    text,
    key,
    keyEpoch: statement.keyEpoch,
    bindValues: [],
    boundTexts: [],
    decoded: decodeStatement(statement, text),
    portal: '',
    statement,
    carried: null,
    isBound: false,
  }
}

/** What can be known of a statement that people have yet to decide about. */
export class Preparation {
  #parts: SessionParts
  #line: Line
  #channel: GateChannel
  #transaction: HeldTransaction

  constructor(parts: SessionParts, line: Line, channel: GateChannel, transaction: HeldTransaction) {
    this.#parts = parts
    this.#line = line
    this.#channel = channel
    this.#transaction = transaction
  }

  /** Whether its text may be shown to the server without being run. */
  async consider(wanted: Wanted, ask: (wanted: Wanted, bytesSha256: string) => Asked): Promise<Considered | Refusal | Refused> {
    const line = this.#line
    const asked = ask(wanted, hash('sha256', wanted.unit.bytes, 'hex'))
    const said = await this.#parts.gate.govern.consider(asked)
    // What was looked up on the gate's own connection must not stay open as a transaction.
    await line.backend.protect.end(false).catch(() => undefined)
    if (line.ended !== null)
      return { code: 'killed', message: line.ended, notDone: 'The statement was not prepared.', next: 'Connect again.' }
    // In the middle of a batch nothing can be looked up: it stays undecided until it is bound.
    if (said.outcome === 'refused' && said.code === 'not_supported')
      return { outcome: 'considered', may: 'not_yet', reads: false }
    return said
  }

  /** What the server will say of a statement that it must not see yet, as soon as it is prepared; null where that cannot be asked without running something. */
  async look(statement: Statement): Promise<Buffer | Refused | null> {
    const looked = await this.describe(statement)
    return Buffer.isBuffer(looked) || looked.asCame !== undefined ? looked : null
  }

  /** What Describe of a portal would be answered whose Bind the server has not seen: RowDescription in its formats, or NoData. */
  async describeBound(statement: Statement, formats: readonly number[]): Promise<Buffer | Refused> {
    const described = await this.describe(statement)
    if (!Buffer.isBuffer(described)) return described
    return withFormats(described.subarray(1 + described.readInt32BE(1)), formats)
  }

  /**
   * ParameterDescription and RowDescription, or NoData, of a statement that is withheld. The server has to analyse it for that, and analysis runs
   * the input functions of types over the string literals in the text: of a composite or an array over a domain that is the domain's CHECK, so any
   * function. It folds and plans nothing, whatever a function's volatility: that comes with Bind. Without a string literal in the text there
   * is nothing that analysis could run. The locks it takes go with the transaction it is in, which is rolled back.
   */
  async describe({ parsed, sqlBytes }: Statement): Promise<Buffer | Refused> {
    const sql = parsed.subarray(0, sqlBytes).toString('utf8')
    try {
      // Where something ran since the client's last Sync there is a transaction already: what this locks goes when that ends.
      if (this.#line.executes === 0) await this.#transaction.hold('', 'statement')
      if (hasStringLiteral(sql) && (await runsByLiteral(this.#channel))) return undescribed
      const described = await this.#channel.describe(parsed)
      return 'error' in described ? serverRefusal(described.error) : described.answer
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error
      return refusedBy(error)
    } finally {
      await this.#transaction.rollBack()
    }
  }
}

const undescribed = notSupported(
  'Describing this statement could run something that is not decided yet.',
  'Send its values as parameters, not as literals; or bind and execute it, and describe the portal.',
)

/** A RowDescription says text for all: what Bind asked for takes its place, one format for each column, one for all, or none. */
function withFormats(description: Buffer, formats: readonly number[]): Buffer {
  if (description[0] !== server.rowDescription || formats.length === 0) return description
  const bytes = Buffer.from(description)
  let at = headerBytes + 2
  for (let column = 0; column < bytes.readInt16BE(headerBytes); column += 1) {
    at = bytes.indexOf(0, at) + 1
    bytes.writeInt16BE(formats[formats.length === 1 ? 0 : column] ?? 0, at + 16)
    at += 18
  }
  return bytes
}

/** A quote, or a dollar that begins no parameter: `$1` is one, `$$` and `$tag$` begin a literal. In a comment or a name it counts too. */
function hasStringLiteral(sql: string): boolean {
  return /'|\$(?!\d)/.test(sql)
}

/** The server's own error, told as the server's. */
function serverRefusal(error: Buffer): Refused {
  const fields = readErrorFields(error)
  return {
    code: 'upstream_failed',
    sqlState: fields.get('C') ?? 'XX000',
    message: fields.get('M') ?? 'The statement can not be described.',
    notDone: 'It was not described.',
    next: 'Mend the statement and prepare it again.',
    asCame: error,
  }
}
