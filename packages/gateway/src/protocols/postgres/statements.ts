import { findZero, headerBytes } from './wire.ts'

/** A prepared statement as the server holds it, once `batch` is confirmed. */
export interface Statement {
  readonly name: string
  /** SQL with its zero byte and the parameter types that Parse gave. */
  readonly parsed: Buffer
  readonly sqlBytes: number
  /** Batch (counted by ReadyForQuery) in which Parse was sent, and how many Parses that batch had before. */
  readonly batch: number
  readonly ordinal: number
  /** The server holds an empty statement by this name: the text itself goes with the first Bind of it that is cleared. */
  readonly withheld: boolean
  /** Of one that is withheld: its description, as it was when it was prepared. */
  readonly description?: Buffer | null
  key: string | null
  /** The epoch of settings that `key` was made for. */
  keyEpoch: number
}

export interface Portal {
  readonly statement: Statement
  readonly batch: number
  /**
   * `read`: bound because its key was recalled. `cleared`: ran under a clearance, once: the server runs no portal twice, so another Execute gives
   * what its row limit kept back, or nothing, or an error. `withheld`: the server has not seen its Bind, which goes with its first Execute.
   */
  readonly kind: 'read' | 'cleared' | 'withheld'
  /** The Bind message, for deciding again when the verdict is no longer remembered; null when it is too long to keep. */
  readonly bind: Buffer | null
}

/** Statements and portals of one session are bounded: an agent can't fill the gate's memory with names. */
export const statementsMax = 10_000
export const portalsMax = 1_000
export const bindKeptBytesMax = 8_192
/** Binds that the server has not seen, of one session at once. */
export const withheldBytesMax = 1024 * 1024

interface Pending {
  readonly statement: Statement
  readonly previous: Statement | undefined
}

/**
 * What the server holds under each name. A name may be used when its Parse is in the same batch (an error then skips the use too) or is
 * known to have succeeded; else the registry and the server could mean different SQL by one name.
 */
export class Statements {
  #statements = new Map<string, Statement>()
  #portals = new Map<string, Portal>()
  #pending: Pending[] = []

  get(name: string): Statement | undefined {
    return this.#statements.get(name)
  }

  portal(name: string): Portal | undefined {
    return this.#portals.get(name)
  }

  get size(): number {
    return this.#statements.size
  }

  get portalCount(): number {
    return this.#portals.size
  }

  parse(statement: Statement, batchesDone: number): void {
    const previous = this.#statements.get(statement.name)
    if (this.#pending.length > 0 && (this.#pending[0]?.statement.batch ?? 0) < batchesDone) this.#forgetConfirmed(batchesDone)
    this.#pending.push({ statement, previous })
    this.#statements.set(statement.name, statement)
  }

  #forgetConfirmed(batchesDone: number): void {
    this.#pending = this.#pending.filter((pending) => pending.statement.batch >= batchesDone)
  }

  /** Parses of that batch past the first `parsesDone` never happened: the server still has what it had. */
  undo(batch: number, parsesDone: number): void {
    for (const { statement, previous } of this.#pending.toReversed()) {
      if (statement.batch !== batch || statement.ordinal < parsesDone) continue
      if (this.#statements.get(statement.name) !== statement) continue
      if (previous === undefined) this.#statements.delete(statement.name)
      else this.#statements.set(statement.name, previous)
    }
    this.#pending = this.#pending.filter((pending) => pending.statement.batch !== batch)
    for (const [name, portal] of this.#portals) if (portal.batch === batch) this.#portals.delete(name)
  }

  close(name: string): void {
    this.#statements.delete(name)
  }

  bind(name: string, portal: Portal): void {
    this.#portals.set(name, portal)
  }

  closePortal(name: string): void {
    this.#portals.delete(name)
  }

  /** Bytes of Binds that the server has not seen. */
  get withheldBytes(): number {
    let bytes = 0
    for (const portal of this.#portals.values()) if (portal.kind === 'withheld') bytes += portal.bind?.length ?? 0
    return bytes
  }

  /** With its transaction a portal ends. The server says so of those that it knows. */
  forgetWithheld(): void {
    if (this.#portals.size === 0) return
    for (const [name, { kind }] of this.#portals) if (kind === 'withheld') this.#portals.delete(name)
  }

  forgetPortals(): void {
    if (this.#portals.size > 0) this.#portals.clear()
  }

  /** Keeps only what the server says it holds from Parse; the unnamed statement is on no list of its, and no DEALLOCATE or DISCARD ends it. */
  retain(names: ReadonlySet<string>): void {
    for (const name of this.#statements.keys()) if (name !== '' && !names.has(name)) this.#statements.delete(name)
  }
}

/** What must go to the server together with a cleared Bind, and not before: the Parse of its statement. */
export interface Carried {
  readonly bytes: Buffer
  /** As it will be known once this is sent. */
  readonly statement: Statement
  /** The client has had the answer to its Parse already: these answers are the gate's. */
  readonly replaces: boolean
}

export interface ParseParts {
  readonly name: string
  readonly sqlAt: number
  readonly sqlEnd: number
}

/** Where the parts of a Parse message lie; null when it is malformed. */
export function readParse(buffer: Buffer, at: number, end: number): ParseParts | null {
  const nameEnd = findZero(buffer, at + headerBytes, end)
  if (nameEnd === -1) return null
  const sqlEnd = findZero(buffer, nameEnd + 1, end)
  if (sqlEnd === -1 || sqlEnd + 3 > end) return null
  const types = buffer.readInt16BE(sqlEnd + 1)
  if (types < 0 || sqlEnd + 3 + types * 4 !== end) return null
  return {
    name: nameEnd === at + headerBytes ? '' : buffer.toString('utf8', at + headerBytes, nameEnd),
    sqlAt: nameEnd + 1,
    sqlEnd,
  }
}

export interface BindParts {
  readonly portal: string
  readonly statement: string
  /** Where the part begins that does not depend on names: formats, values, result formats. */
  readonly valuesAt: number
}

export function readBindNames(buffer: Buffer, at: number, end: number): BindParts | null {
  const portalEnd = findZero(buffer, at + headerBytes, end)
  if (portalEnd === -1) return null
  const statementEnd = findZero(buffer, portalEnd + 1, end)
  if (statementEnd === -1) return null
  return {
    portal: portalEnd === at + headerBytes ? '' : buffer.toString('utf8', at + headerBytes, portalEnd),
    statement: statementEnd === portalEnd + 1 ? '' : buffer.toString('utf8', portalEnd + 1, statementEnd),
    valuesAt: statementEnd + 1,
  }
}

export interface BindValue {
  readonly type: number
  readonly format: 'text' | 'binary'
  readonly value: Buffer | null
}

/** Formats of the results that a well-formed Bind asks for. */
export function readResultFormats(bind: Buffer, valuesAt: number): readonly number[] {
  let at = valuesAt + 2 + bind.readInt16BE(valuesAt) * 2
  const values = bind.readInt16BE(at)
  at += 2
  for (let index = 0; index < values; index += 1) at += 4 + Math.max(0, bind.readInt32BE(at))
  const formats = bind.readInt16BE(at)
  return Array.from({ length: formats }, (_, index) => bind.readInt16BE(at + 2 + index * 2))
}

/** The values of a Bind with the types that Parse gave (0: left to the server); null when it is malformed. */
export function readBindValues(bind: Buffer, valuesAt: number, types: readonly number[]): readonly BindValue[] | null {
  let at = valuesAt
  const has = (bytes: number): boolean => at + bytes <= bind.length
  if (!has(2)) return null
  const formatCount = bind.readInt16BE(at)
  at += 2
  if (formatCount < 0 || !has(formatCount * 2 + 2)) return null
  const formats = Array.from({ length: formatCount }, (_, index) => bind.readInt16BE(at + index * 2))
  at += formatCount * 2
  const valueCount = bind.readInt16BE(at)
  at += 2
  if (valueCount < 0 || (formatCount > 1 && formatCount !== valueCount)) return null
  const values: BindValue[] = []
  for (let index = 0; index < valueCount; index += 1) {
    if (!has(4)) return null
    const length = bind.readInt32BE(at)
    at += 4
    if (length < -1 || (length > 0 && !has(length))) return null
    const format = (formatCount === 1 ? formats[0] : formats[index]) === 1 ? 'binary' : 'text'
    values.push({ type: types[index] ?? 0, format, value: length === -1 ? null : bind.subarray(at, at + length) })
    if (length > 0) at += length
  }
  if (!has(2)) return null
  const results = bind.readInt16BE(at)
  return results >= 0 && at + 2 + results * 2 === bind.length ? values : null
}

export function readParameterTypes(parsed: Buffer, sqlBytes: number): readonly number[] {
  const count = parsed.readInt16BE(sqlBytes + 1)
  return Array.from({ length: count }, (_, index) => parsed.readUInt32BE(sqlBytes + 3 + index * 4))
}

/** FirstNormalObjectId of PostgreSQL's source: types from here on are people's own, and a domain among them runs its checks on what is bound. */
const firstOwnType = 16_384

/** Types of parameters that are not the server's own. A text says nothing of them: they come with Parse. */
export function readOwnTypes(parsed: Buffer, sqlBytes: number): readonly number[] {
  return parsed.readInt16BE(sqlBytes + 1) === 0 ? [] : readParameterTypes(parsed, sqlBytes).filter((type) => type >= firstOwnType)
}

const binaryReaders: ReadonlyMap<number, { readonly bytes: number; readonly read: (value: Buffer) => string }> = new Map([
  [16, { bytes: 1, read: (value: Buffer) => (value[0] === 1 ? 'true' : 'false') }],
  [20, { bytes: 8, read: (value: Buffer) => value.readBigInt64BE().toString() }],
  [21, { bytes: 2, read: (value: Buffer) => String(value.readInt16BE()) }],
  [23, { bytes: 4, read: (value: Buffer) => String(value.readInt32BE()) }],
  [26, { bytes: 4, read: (value: Buffer) => String(value.readUInt32BE()) }],
  [700, { bytes: 4, read: (value: Buffer) => String(value.readFloatBE()) }],
  [701, { bytes: 8, read: (value: Buffer) => String(value.readDoubleBE()) }],
])
const textTypes = new Set([25, 1042, 1043, 19, 114, 705])

/** A bind value as the server's text format would give it; undefined when it can't be told without the type. */
export function bindValueText({ type, format, value }: BindValue): string | null | undefined {
  if (value === null) return null
  if (format === 'text' || textTypes.has(type)) return value.toString('utf8')
  const reader = binaryReaders.get(type)
  return reader !== undefined && value.length === reader.bytes ? reader.read(value) : undefined
}
