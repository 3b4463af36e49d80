import { SallyportError } from '@sallyport/core'
import { readRow } from '../../protocols/postgres/gate-channel.ts'
import { findZero, headerBytes, queryMessage, server, terminateMessage } from '../../protocols/postgres/wire.ts'
import { connectTarget, type Connected } from './connect.ts'
import { ReplicationMessages } from './replication-messages.ts'
import type { Target } from './target.ts'

/** From where to where WAL is needed for a backup to be consistent. */
export interface BackupSpan {
  readonly startLsn: string
  readonly endLsn: string
  readonly timeline: number
}

/** What a base backup is taken from, and by whom. */
export interface BaseBackupSource {
  readonly name: string
  readonly target: Target
  /** `SYSTEM_IDENTIFIER:DATABASE_OID` as asked before, or an address where the server keeps the identifier to superusers. */
  readonly identity: string
  readonly weakAuthentication: boolean
  readonly connectTimeoutMs: number
}

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
export async function* streamBaseBackup(
  source: BaseBackupSource,
  told: (span: BackupSpan) => void = () => undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
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
    const failed = (why: string, cause?: unknown): SallyportError => backupFailed(source.name, why, cause)
    const messages = new ReplicationMessages(socket, failed)
    socket.write(queryMessage('IDENTIFY_SYSTEM'))
    await checkSystem(source, messages)
    socket.write(queryMessage(command))
    yield* readArchive(source.name, messages, told)
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
async function checkSystem(source: BaseBackupSource, messages: ReplicationMessages): Promise<void> {
  const [identifier = null] = (await messages.rows())[0] ?? []
  const expected = /^(\d+):\d+$/.exec(source.identity)?.[1]
  if (expected === undefined || expected === identifier) return
  throw new SallyportError(
    'target_changed',
    `The upstream ${source.name} is another server than when the request was looked at.`,
    'No copy was made.',
    'Ask again: it will be looked at anew.',
  )
}

async function* readArchive(
  name: string,
  messages: ReplicationMessages,
  told: (span: BackupSpan) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let archives = 0
  let copied = false
  // The first row says where recovery begins, the last one from where on the backup is consistent.
  const positions: (readonly [string | null, string | null])[] = []
  for (;;) {
    const message = await messages.next()
    const type = message[0]
    const of = message[headerBytes]
    if (type === server.dataRow) {
      const [position = null, timeline = null] = readRow(message)
      if (position !== null && /^[0-9A-F]+\/[0-9A-F]+$/.test(position)) positions.push([position, timeline])
    }
    if (type === server.copyData && of === piece.archive) archives += 1
    if (archives > 1 || (type === server.copyData && of === piece.archive && readTablespace(message) !== ''))
      throw hasTablespaces(name)
    if (type === server.copyData && of === piece.data) yield message.subarray(headerBytes + 1)
    if (type === server.commandComplete) copied ||= archives === 1
    if (type !== server.ready) continue
    if (!copied) throw backupFailed(name, 'it ended without having sent everything')
    const [start, end] = [positions[0], positions.at(-1)]
    if (start?.[0] && end?.[0]) told({ startLsn: start[0], endLsn: end[0], timeline: Number(end[1] ?? 0) })
    return
  }
}

/** Where the archive's tablespace lies; empty for the data directory itself. */
function readTablespace(message: Buffer): string {
  const end = findZero(message, headerBytes + 1, message.length)
  const next = end === -1 ? -1 : findZero(message, end + 1, message.length)
  return next === -1 ? 'unreadable' : message.toString('utf8', end + 1, next)
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
function backupFailed(name: string, why: string, cause?: unknown): SallyportError {
  return new SallyportError(
    'copy_failed',
    `No base backup of upstream ${name} could be made: ${why}.`,
    'No copy counts; nothing was changed.',
    'See that its protect credential has REPLICATION, that pg_hba.conf lets it replicate, and that a walsender is free; then ask again.',
    { cause },
  )
}
