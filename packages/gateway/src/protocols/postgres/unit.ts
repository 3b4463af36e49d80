import { isUtf8 } from 'node:buffer'
import type { Json } from '@sallyport/core'
import { readPortalOfExecute } from './payload-digest.ts'
import {
  bindValueText,
  readBindValues,
  readOwnTypes,
  readParameterTypes,
  type BindValue,
  type Carried,
  type Statement,
} from './statements.ts'
import type { Unit } from './upstreams.ts'
import type { Held } from './held.ts'
import { client, closeMessage, flushMessage, headerBytes, reparseMessage } from './wire.ts'

/** One statement about to be asked about: what runs, what it says, what is bound. */
export interface Wanted {
  readonly unit: Unit
  readonly text: string
  readonly key: string | null
  /** The epoch of settings and catalog that the key was made for. */
  readonly keyEpoch: number
  readonly bindValues: readonly Json[]
  /** The same as far as they are text, for reading. */
  readonly boundTexts: readonly string[]
  readonly decoded: Json
  /** Portal that Bind makes; null for Query. */
  readonly portal: string | null
  readonly statement: Statement | null
  /** What goes before it, once it is cleared. */
  readonly carried: Carried | null
  /** The client was told that it is bound when it sent Bind, and sends Execute now. */
  readonly isBound: boolean
}

/** The text of a Query, or null when it holds a zero byte inside or is not UTF-8: the server would read another. */
export function readQueryText(message: Buffer): string | null {
  const end = message.length - 1
  if (message.indexOf(0, headerBytes) !== end) return null
  const bytes = message.subarray(headerBytes, end)
  return isUtf8(bytes) ? bytes.toString('utf8') : null
}

export function wantQuery(message: Buffer, text: string, key: string | null, keyEpoch: number): Wanted {
  return {
    unit: { bytes: message, parsed: null },
    text,
    key,
    keyEpoch,
    bindValues: [],
    boundTexts: [],
    decoded: { sql: text },
    portal: null,
    statement: null,
    carried: null,
    isBound: false,
  }
}

/** Null when the Bind is malformed or the SQL is not UTF-8. `bytes` begins with Bind. */
export function wantBind(
  bytes: Buffer,
  bindEnd: number,
  valuesAt: number,
  portal: string,
  statement: Statement,
  key: string | null,
  keyEpoch: number,
  carried: Carried | null,
): Wanted | null {
  const sql = statement.parsed.subarray(0, statement.sqlBytes)
  const values = readBindValues(bytes.subarray(0, bindEnd), valuesAt, readParameterTypes(statement.parsed, statement.sqlBytes))
  if (values === null || !isUtf8(sql)) return null
  const text = sql.toString('utf8')
  const texts = values.map(bindValueText)
  const decoded: Json = {
    ...decodeStatement(statement, text),
    ...(texts.every((value) => value !== undefined) ? { bindValues: texts } : {}),
  }
  return {
    unit: { bytes, parsed: statement.parsed },
    text,
    key,
    keyEpoch,
    bindValues: values.map(bindValueJson),
    boundTexts: texts.flatMap((value) => (typeof value === 'string' ? [value] : [])),
    decoded,
    portal,
    statement,
    carried,
    isBound: false,
  }
}

export function decodeStatement({ parsed, sqlBytes }: Statement, sql: string): { readonly [key: string]: Json } {
  const parameterTypes = readOwnTypes(parsed, sqlBytes)
  return parameterTypes.length === 0 ? { sql } : { sql, parameterTypes }
}

function bindValueJson({ type, format, value }: BindValue): Json {
  return { type, format, value: value === null ? null : value.toString('base64') }
}

/** Whether the unit runs anything: a Bind may come alone. */
export function hasExecute({ unit, portal }: Wanted): boolean {
  if (portal === null) return true
  let at = 0
  while (at + 5 <= unit.bytes.length) {
    const end = at + 1 + unit.bytes.readInt32BE(at + 1)
    if (unit.bytes[at] === client.execute) return readPortalOfExecute(unit.bytes, at, end) === portal
    at = end
  }
  return false
}

/** Closes among the messages of `bytes`. */
export function countCloses(bytes: Buffer): number {
  let closes = 0
  for (let at = 0; at + headerBytes <= bytes.length; at += 1 + bytes.readInt32BE(at + 1))
    if (bytes[at] === client.close) closes += 1
  return closes
}

/** Whether the client's Sync comes next, Closes aside. */
export async function syncFollows(held: Held, from: number, readOn: () => void): Promise<boolean> {
  let at = from
  for (;;) {
    const end = await held.messageEnd(at, readOn)
    if (held.bytes[at] === client.sync) return true
    if (held.bytes[at] !== client.close) return false
    at = end
  }
}

/**
 * The unit with the Sync behind it when that is here (Close may stand between) and may end the batch; else with a Flush, so that it is answered.
 */
export function withSync(
  unit: Buffer,
  held: Held,
  end: number,
  mayEnd = true,
): { readonly bytes: Buffer; readonly end: number; readonly ready: boolean } {
  let at = end
  for (;;) {
    const next = mayEnd ? held.wholeEnd(at) : null
    if (next !== null && held.bytes[at] === client.sync) return { bytes: held.bytes.subarray(0, next), end: next, ready: true }
    if (next === null || held.bytes[at] !== client.close) break
    at = next
  }
  return { bytes: Buffer.concat([unit, flushMessage]), end, ready: false }
}

/** What goes with the first cleared Bind of a withheld statement: its text, in the place of the empty one. */
export function carry(statement: Statement): Carried | null {
  if (!statement.withheld) return null
  const { name, parsed } = statement
  const parse = reparseMessage(name, parsed)
  const bytes = name === '' ? parse : Buffer.concat([closeMessage('S', name), parse])
  return { bytes, statement: { ...statement, withheld: false }, replaces: true }
}
