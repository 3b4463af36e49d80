import { SallyportError } from '@sallyport/core'
import { findZero, headerBytes, queryMessage, readErrorFields, server, terminateMessage } from '../../protocols/postgres/wire.ts'
import { connectTarget, type Connected } from './connect.ts'
import type { Target } from './target.ts'

/** What a base backup is taken from, and by whom. */
export interface BaseBackupSource {
  readonly name: string
  readonly target: Target
  /** `SYSTEM_IDENTIFIER:DATABASE_OID` as asked before, or an address where the server keeps the identifier to superusers. */
  readonly identity: string
  readonly weakAuthentication: boolean
  readonly connectTimeoutMs: number
}

/** Longest message of a walsender: it sends a backup in pieces of 32 KiB, and rows of a few bytes. */
const messageBytesMax = 4 * 1024 * 1024
/** A server that sends nothing for this long is given up. A checkpoint may come first, which is asked to be fast. */
const silentMs = 120_000

/** Since PostgreSQL 15: options in parentheses, one COPY for everything, each of its messages with a letter in front. */
const majorMin = 15
const command = `BASE_BACKUP (LABEL 'sallyport', CHECKPOINT 'fast', WAL true, WAIT false, PROGRESS false, MANIFEST 'no', TABLESPACE_MAP false)`

/** First byte of a CopyData message of a backup (PostgreSQL documentation, "Streaming Replication Protocol"). */
const piece = { archive: 0x6e, data: 0x64 } as const

/**
 * The whole server as one tar file, WAL included, over the replication protocol: no program is needed, and nothing is written here.
 * A server with tablespaces is refused, since it would send several files.
 */
export async function* streamBaseBackup(source: BaseBackupSource): AsyncGenerator<Uint8Array, void, undefined> {
  const connected = await connectTarget(source.name, source.target, {
    settings: new Map([
      ['replication', 'true'],
      ['application_name', 'sallyport base backup'],
    ]),
    timeoutMs: source.connectTimeoutMs,
    signal: new AbortController().signal,
    weakAuthentication: source.weakAuthentication,
  })
  const { socket } = connected
  const silent = (): void => void socket.destroy(new Error('silent'))
  socket.setTimeout(silentMs, silent)
  try {
    checkMajor(source.name, connected)
    const messages = readMessages(source.name, socket)
    socket.write(queryMessage('IDENTIFY_SYSTEM'))
    await checkSystem(source, messages)
    socket.write(queryMessage(command))
    yield* readArchive(source.name, messages)
    socket.end(terminateMessage)
  } finally {
    socket.destroy()
  }
}

function checkMajor(name: string, { parameters }: Connected): void {
  const version = parameters.get('server_version') ?? ''
  if (Number.parseInt(version, 10) >= majorMin) return
  throw new SallyportError(
    'not_supported',
    `The upstream ${name} is PostgreSQL ${version.slice(0, 20)}; a base backup is read from version ${majorMin} on.`,
    'No copy was made.',
    `Move it to PostgreSQL ${majorMin} or later.`,
  )
}

/** The address may have come to mean another server since its identity was asked. */
async function checkSystem(source: BaseBackupSource, messages: AsyncGenerator<Buffer>): Promise<void> {
  let identifier: string | null = null
  for (;;) {
    const message = await nextMessage(source.name, messages)
    if (message[0] === server.dataRow) identifier = readFirstColumn(message)
    if (message[0] === server.ready) break
  }
  const expected = /^(\d+):\d+$/.exec(source.identity)?.[1]
  if (expected === undefined || expected === identifier) return
  throw new SallyportError(
    'target_changed',
    `The upstream ${source.name} is another server than when the request was looked at.`,
    'No copy was made.',
    'Ask again: it will be looked at anew.',
  )
}

function readFirstColumn(message: Buffer): string | null {
  const at = headerBytes + 2
  if (message.length < at + 4) return null
  const length = message.readInt32BE(at)
  return length < 0 ? null : message.toString('utf8', at + 4, at + 4 + length)
}

async function* readArchive(name: string, messages: AsyncGenerator<Buffer>): AsyncGenerator<Uint8Array, void, undefined> {
  let archives = 0
  let copied = false
  for (;;) {
    const message = await nextMessage(name, messages)
    const type = message[0]
    const of = message[headerBytes]
    if (type === server.copyData && of === piece.archive) archives += 1
    if (archives > 1 || (type === server.copyData && of === piece.archive && readTablespace(message) !== ''))
      throw hasTablespaces(name)
    if (type === server.copyData && of === piece.data) yield message.subarray(headerBytes + 1)
    if (type === server.commandComplete) copied ||= archives === 1
    if (type !== server.ready) continue
    if (!copied) throw failed(name, 'it ended without having sent everything')
    return
  }
}

/** Where the archive's tablespace lies; empty for the data directory itself. */
function readTablespace(message: Buffer): string {
  const end = findZero(message, headerBytes + 1, message.length)
  const next = end === -1 ? -1 : findZero(message, end + 1, message.length)
  return next === -1 ? 'unreadable' : message.toString('utf8', end + 1, next)
}

async function nextMessage(name: string, messages: AsyncGenerator<Buffer>): Promise<Buffer> {
  const next = await messages.next()
  if (next.done) throw failed(name, 'the connection broke')
  if (next.value[0] !== server.error) return next.value
  const fields = readErrorFields(next.value)
  throw failed(name, `the server answered SQLSTATE ${fields.get('C') ?? 'XX000'}`, new Error(fields.get('M') ?? ''))
}

/** Whole messages, as the consumer asks for them: a slow vault holds the server back, not our memory. */
async function* readMessages(name: string, socket: Connected['socket']): AsyncGenerator<Buffer, void, undefined> {
  let rest: Buffer = Buffer.alloc(0)
  const chunks: AsyncIterable<unknown> = socket
  try {
    for await (const chunk of chunks) {
      if (!Buffer.isBuffer(chunk)) continue
      let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      while (bytes.length >= headerBytes) {
        const length = bytes.readInt32BE(1)
        if (length < 4 || length > messageBytesMax) throw failed(name, 'the server sent a message that is none')
        if (bytes.length <= length) break
        yield bytes.subarray(0, length + 1)
        bytes = bytes.subarray(length + 1)
      }
      rest = bytes
    }
  } catch (error) {
    if (error instanceof SallyportError) throw error
    throw failed(name, `nothing came for ${silentMs / 1000} s, or the connection broke`, error)
  }
}

function hasTablespaces(name: string): SallyportError {
  return new SallyportError(
    'not_supported',
    `The server of upstream ${name} has tablespaces outside its data directory, which a base backup of the gate leaves out.`,
    'No copy counts.',
    'Move its tables into the default tablespace, or delete nothing under this server.',
  )
}

/** SQLSTATE only: a server's message may quote what it was given. It goes along as `cause`. */
function failed(name: string, why: string, cause?: unknown): SallyportError {
  return new SallyportError(
    'copy_failed',
    `No base backup of upstream ${name} could be made: ${why}.`,
    'No copy counts; nothing was changed.',
    'See that its protect credential has REPLICATION, that pg_hba.conf lets it replicate, and that a walsender is free; then ask again.',
    { cause },
  )
}
