import { randomBytes } from 'node:crypto'

/** Message type bytes of protocol 3.0 (PostgreSQL documentation, "Message Formats"). */
export const client = {
  query: 0x51,
  parse: 0x50,
  bind: 0x42,
  describe: 0x44,
  execute: 0x45,
  close: 0x43,
  flush: 0x48,
  sync: 0x53,
  terminate: 0x58,
  functionCall: 0x46,
  copyData: 0x64,
  copyDone: 0x63,
  copyFail: 0x66,
  password: 0x70,
} as const

export const server = {
  authentication: 0x52,
  parameterStatus: 0x53,
  backendKey: 0x4b,
  ready: 0x5a,
  error: 0x45,
  notice: 0x4e,
  notification: 0x41,
  rowDescription: 0x54,
  dataRow: 0x44,
  commandComplete: 0x43,
  emptyQuery: 0x49,
  portalSuspended: 0x73,
  parseComplete: 0x31,
  bindComplete: 0x32,
  closeComplete: 0x33,
  parameterDescription: 0x74,
  noData: 0x6e,
  copyIn: 0x47,
  copyOut: 0x48,
  copyBoth: 0x57,
  copyData: 0x64,
  negotiate: 0x76,
} as const

/** Transaction status in ReadyForQuery. */
export const idle = 0x49
export const inTransaction = 0x54
export const failed = 0x45

/** What a length field says, without the type byte; the smallest is its own four bytes. */
export const headerBytes = 5

export const protocol30 = 196_608
/** Of protocol 3: 3.2 differs from 3.0 in the length of cancel keys. */
export const newestMinor = 2
export const cancelCode = 80_877_102
export const sslCode = 80_877_103
export const gssCode = 80_877_104

export function frame(type: number, ...parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const head = Buffer.allocUnsafe(headerBytes)
  head[0] = type
  head.writeInt32BE(length + 4, 1)
  return Buffer.concat([head, ...parts], length + headerBytes)
}

export function zeroTerminated(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf8')
}

export function int16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2)
  bytes.writeInt16BE(value)
  return bytes
}

export function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** Index of the zero byte that ends the string at `at`, or -1 when there is none before `end`. */
export function findZero(buffer: Buffer, at: number, end: number): number {
  const zero = buffer.indexOf(0, at)
  return zero === -1 || zero >= end ? -1 : zero
}

export interface ErrorFields {
  readonly severity: 'ERROR' | 'FATAL' | 'NOTICE'
  readonly code: string
  readonly message: string
  readonly detail?: string
  readonly hint?: string
}

function fieldBytes(fields: ErrorFields): Buffer {
  const parts = [`S${fields.severity}`, `V${fields.severity}`, `C${fields.code}`, `M${fields.message}`]
  if (fields.detail !== undefined) parts.push(`D${fields.detail}`)
  if (fields.hint !== undefined) parts.push(`H${fields.hint}`)
  return Buffer.from(`${parts.map((part) => part.replaceAll('\0', ' ')).join('\0')}\0\0`, 'utf8')
}

export const errorResponse = (fields: ErrorFields): Buffer => frame(server.error, fieldBytes(fields))
export const noticeResponse = (fields: ErrorFields): Buffer => frame(server.notice, fieldBytes(fields))
/** Answers a Bind that the server has not seen yet. */
export const bindCompleteMessage = Buffer.from([server.bindComplete, 0, 0, 0, 4])
export const readyForQuery = (status: number): Buffer => Buffer.from([server.ready, 0, 0, 0, 5, status])
export const parameterStatus = (name: string, value: string): Buffer =>
  frame(server.parameterStatus, zeroTerminated(name), zeroTerminated(value))
export const backendKeyData = (pid: number, secret: Buffer): Buffer => frame(server.backendKey, int32(pid), secret)
/** AuthenticationOk 0, SASL 10, SASLContinue 11, SASLFinal 12. */
export const authentication = (kind: 0 | 10 | 11 | 12, body: Buffer = Buffer.alloc(0)): Buffer =>
  frame(server.authentication, int32(kind), body)
/** Tells a client that asked for a newer minor version, or for protocol options, that it gets this version without them. */
export const negotiateVersion = (minor: number, unknownOptions: readonly string[]): Buffer =>
  frame(server.negotiate, int32(protocol30 + minor), int32(unknownOptions.length), ...unknownOptions.map(zeroTerminated))

export const queryMessage = (sql: string): Buffer => frame(client.query, zeroTerminated(sql))
export const parseMessage = (name: string, sql: string): Buffer =>
  frame(client.parse, zeroTerminated(name), zeroTerminated(sql), int16(0))
/** A Parse of a statement whose SQL and parameter types are given as they were sent. */
export const reparseMessage = (name: string, parsed: Buffer): Buffer => frame(client.parse, zeroTerminated(name), parsed)
export const describeStatementMessage = (name: string): Buffer => frame(client.describe, Buffer.from('S'), zeroTerminated(name))
export const executeMessage = (portal: string): Buffer => frame(client.execute, zeroTerminated(portal), int32(0))
export const closeMessage = (kind: 'S' | 'P', name: string): Buffer =>
  frame(client.close, Buffer.from(kind), zeroTerminated(name))
export const syncMessage = Buffer.from([client.sync, 0, 0, 0, 4])
export const flushMessage = Buffer.from([client.flush, 0, 0, 0, 4])
export const terminateMessage = Buffer.from([client.terminate, 0, 0, 0, 4])
export const copyDoneMessage = Buffer.from([client.copyDone, 0, 0, 0, 4])
export const copyFailMessage = (why: string): Buffer => frame(client.copyFail, zeroTerminated(why))
/** Of a CopyData with so many bytes of data. */
export function copyDataHeader(bytes: number): Buffer {
  const head = Buffer.allocUnsafe(headerBytes)
  head[0] = client.copyData
  head.writeInt32BE(bytes + 4, 1)
  return head
}
export const copyDataMessage = (bytes: Uint8Array): Buffer =>
  frame(client.copyData, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))

/** All values as text; results as text. */
export function bindMessage(portal: string, statement: string, values: readonly (string | null)[]): Buffer {
  const parts = values.flatMap((value) => {
    if (value === null) return [int32(-1)]
    const bytes = Buffer.from(value, 'utf8')
    return [int32(bytes.length), bytes]
  })
  return frame(client.bind, zeroTerminated(portal), zeroTerminated(statement), int16(0), int16(values.length), ...parts, int16(0))
}

export function startupMessage(parameters: ReadonlyMap<string, string>): Buffer {
  const pairs = [...parameters].flatMap(([name, value]) => [zeroTerminated(name), zeroTerminated(value)])
  const body = Buffer.concat([int32(protocol30), ...pairs, Buffer.from([0])])
  return Buffer.concat([int32(body.length + 4), body])
}

export function cancelRequest(pid: number, secret: Buffer): Buffer {
  return Buffer.concat([int32(12 + secret.length), int32(cancelCode), int32(pid), secret])
}

/** The fields of an ErrorResponse or NoticeResponse, by their one-letter code. `message` is the whole message, header included. */
export function readErrorFields(message: Buffer): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  let at = headerBytes
  while (at < message.length && message[at] !== 0) {
    const end = findZero(message, at, message.length)
    if (end === -1) break
    fields.set(String.fromCharCode(message[at] ?? 0), message.toString('utf8', at + 1, end))
    at = end + 1
  }
  return fields
}

export function sqlStateOfError(error: Buffer): string {
  return readErrorFields(error).get('C') ?? 'XX000'
}

/** Rows named by a command tag: `INSERT 0 5`, `UPDATE 3`, `SELECT 10`; undefined when the tag carries none. */
export function readTagRows(tag: string): number | undefined {
  const match = /^[A-Z ]+(?: \d+)?? (\d{1,15})$/.exec(tag)
  return match?.[1] === undefined ? undefined : Number(match[1])
}

/** A name for statements, portals and savepoints of the gate that no agent can guess. Reserved: agents may not use the prefix. */
export const reservedPrefix = 'sallyport_'
export const makeReservedName = (): string => reservedPrefix + randomBytes(8).toString('hex')
