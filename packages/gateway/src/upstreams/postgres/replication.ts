import { SallyportError, showLsn, type WalFeed, type WalServer, type WalSource } from '@sallyport/core'
import { GateChannel } from '../../protocols/postgres/gate-channel.ts'
import { client, copyDataMessage, headerBytes, queryMessage, server, terminateMessage } from '../../protocols/postgres/wire.ts'
import { streamBaseBackup, type BaseBackupSource } from './base-backup.ts'
import { connectTarget, type Connected } from './connect.ts'
import type { OwnLine } from './protect.ts'
import { ReplicationMessages } from './replication-messages.ts'

/** How long a server may be silent: it sends a keepalive at least every half `wal_sender_timeout`, and answers when asked. */
const silentMs = 60_000
/** How often it is told where we are, so that it does not take us for gone. */
const statusEveryMs = 10_000
/** Since PostgreSQL 15, as base backups. */
const majorMin = 15

const slotPattern = /^[a-z0-9_]{1,63}$/

/** First byte of a CopyData message (PostgreSQL documentation, "Streaming Replication Protocol"). */
const word = { wal: 0x77, keepalive: 0x6b, status: 0x72 } as const
const walHeaderBytes = 1 + 8 + 8 + 8
/** Times on the wire are microseconds since 2000-01-01. */
const epochMs = 946_684_800_000n

const lookSql = `SELECT pg_catalog.current_setting('server_version_num')::int / 10000, pg_catalog.current_setting('wal_level'),
  (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size'),
  (SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER)::text,
  (SELECT rolname FROM pg_catalog.pg_roles WHERE oid = 10), pg_catalog.current_database(), pg_catalog.pg_is_in_recovery()::text,
  (SELECT pg_catalog.string_agg(spcname, ', ') FROM pg_catalog.pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')),
  pg_catalog.current_setting('max_wal_senders'), pg_catalog.current_setting('max_replication_slots'), CURRENT_USER,
  pg_catalog.current_setting('full_page_writes')`
const slotSql = `SELECT s.restart_lsn::text, s.wal_status, s.safe_wal_size::text, s.slot_type
  FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = $1`

/** The way to receive a server's WAL by the protect credential. */
export class PostgresReplication implements WalSource {
  readonly #source: () => Promise<BaseBackupSource>
  readonly #openLine: () => Promise<OwnLine>
  #line: Promise<OwnLine> | null = null

  constructor(source: () => Promise<BaseBackupSource>, openLine: () => Promise<OwnLine>) {
    this.#source = source
    this.#openLine = openLine
  }

  async look(slot: string): Promise<WalServer> {
    const { name, identity } = await this.#source()
    const [facts = []] = await this.#ask(lookSql)
    const [major, walLevel, segmentBytes, replicates, superuser, database, standby, spaces, senders, slots, role, pages] = facts
    const [found] = await this.#ask(slotSql, [slot])
    const known = {
      identity,
      major: Number(major),
      segmentBytes: Number(segmentBytes),
      database: database ?? '',
      superuser: superuser ?? 'postgres',
      slot: found === undefined ? null : { restartLsn: found[0] ?? null, lostWhy: findLoss(found) },
      keepsBytes: typeof found?.[2] === 'string' ? Number(found[2]) : null,
    }
    const obstacle = findObstacle({ major: known.major, walLevel, replicates, standby, spaces, senders, slots, role, pages })
    if (obstacle !== null) return { ...known, systemIdentifier: '', timeline: 0, endLsn: '0/0', obstacle }
    const connected = await this.#connect(name)
    try {
      const [system = []] = await this.#command(name, connected, 'IDENTIFY_SYSTEM')
      const [systemIdentifier, timeline, endLsn] = system
      return { ...known, systemIdentifier: systemIdentifier ?? '', timeline: Number(timeline), endLsn: endLsn ?? '0/0', obstacle }
    } finally {
      connected.socket.destroy()
    }
  }

  async makeSlot(slot: string): Promise<void> {
    if (!slotPattern.test(slot)) throw new Error('this is no name of a slot')
    const { name } = await this.#source()
    const [found] = await this.#ask(slotSql, [slot])
    if (found !== undefined && found[3] !== 'physical') throw failed(name, `the slot ${slot} is there already, and is not ours`)
    const connected = await this.#connect(name)
    try {
      const messages = new ReplicationMessages(connected.socket, (why, cause) => failed(name, why, cause))
      if (found !== undefined) {
        connected.socket.write(queryMessage(`DROP_REPLICATION_SLOT ${slot}`))
        await messages.rows()
      }
      connected.socket.write(queryMessage(`CREATE_REPLICATION_SLOT ${slot} PHYSICAL (RESERVE_WAL true)`))
      await messages.rows()
      connected.socket.end(terminateMessage)
    } finally {
      connected.socket.destroy()
    }
  }

  async feed(slot: string, from: { readonly lsn: bigint; readonly timeline: number }): Promise<WalFeed> {
    if (!slotPattern.test(slot)) throw new Error('this is no name of a slot')
    const { name } = await this.#source()
    const connected = await this.#connect(name)
    const feed = new SocketFeed(name, connected, from)
    try {
      await feed.begin(slot, from.timeline)
    } catch (error) {
      feed.close()
      throw error
    }
    return feed
  }

  async *baseBackup(told: Parameters<WalSource['baseBackup']>[0]): AsyncGenerator<Uint8Array, void, undefined> {
    yield* streamBaseBackup(await this.#source(), told)
  }

  async mark(name: string): Promise<{ readonly lsn: string; readonly named: boolean }> {
    // One message, one transaction: its commit flushes both records, and wakes the walsender; the point alone would wait for the WAL writer.
    const named = await this.#ask(
      `SELECT pg_catalog.pg_create_restore_point($1)::text, pg_catalog.pg_logical_emit_message(true, 'sallyport', $1)::text`,
      [name],
    ).catch(() => null)
    const lsn = named?.[0]?.[0]
    if (lsn) return { lsn, named: true }
    // Without the right to make a named point, the place of the message is one that recovery can stop at.
    const [row] = await this.#ask(`SELECT pg_catalog.pg_logical_emit_message(true, 'sallyport', $1)::text`, [name])
    return { lsn: row?.[0] ?? '0/0', named: false }
  }

  async session(): ReturnType<WalSource['session']> {
    const line = await this.#openLine()
    const channel = new GateChannel(line)
    return { ask: (sql, values = []) => channel.query(sql, values), end: () => line.close() }
  }

  close(): void {
    this.#line?.then(
      (line) => line.close(),
      () => undefined,
    )
    this.#line = null
  }

  /** On a line kept open, outside transactions. */
  async #ask(sql: string, values: readonly string[] = []): ReturnType<GateChannel['query']> {
    const kept = await this.#line?.catch(() => null)
    if (kept === undefined || kept === null || kept.closed) this.#line = this.#openLine()
    const line = await this.#line
    if (!line) throw new Error('this source was closed')
    return await new GateChannel(line).query(sql, values)
  }

  async #command(name: string, { socket }: Connected, command: string): ReturnType<ReplicationMessages['rows']> {
    const messages = new ReplicationMessages(socket, (why, cause) => failed(name, why, cause))
    socket.write(queryMessage(command))
    return await messages.rows()
  }

  async #connect(name: string): Promise<Connected> {
    const { target, connectTimeoutMs, weakAuthentication } = await this.#source()
    return await connectTarget(name, target, {
      settings: new Map([
        ['replication', 'true'],
        ['application_name', 'sallyport'],
      ]),
      timeoutMs: connectTimeoutMs,
      signal: new AbortController().signal,
      weakAuthentication,
    })
  }
}

interface Limits {
  readonly major: number
  readonly walLevel: string | null | undefined
  readonly replicates: string | null | undefined
  readonly standby: string | null | undefined
  readonly spaces: string | null | undefined
  readonly senders: string | null | undefined
  readonly slots: string | null | undefined
  readonly role: string | null | undefined
  readonly pages: string | null | undefined
}

function findObstacle(limits: Limits): WalServer['obstacle'] {
  const { major, walLevel, replicates, standby, spaces, senders, slots, role, pages } = limits
  if (major < majorMin)
    return { reason: `it is PostgreSQL ${major}`, remedy: `Continuous protection begins with PostgreSQL ${majorMin}.` }
  if (walLevel !== 'replica' && walLevel !== 'logical')
    return { reason: `its wal_level is ${walLevel ?? 'unknown'}`, remedy: 'Set wal_level = replica and restart the server.' }
  if (replicates !== 'true')
    return {
      reason: `the protect role ${role ?? ''} may not replicate`,
      remedy: `ALTER ROLE ${role ?? ''} REPLICATION, and a line for replication in pg_hba.conf. A managed database may not offer it.`,
    }
  if (standby === 'true') return { reason: 'it is a standby', remedy: 'Name the primary as the upstream.' }
  if (senders === '0' || slots === '0')
    return {
      reason: 'it allows no walsender or no slot',
      remedy: 'Raise max_wal_senders and max_replication_slots, and restart the server.',
    }
  if (typeof spaces === 'string')
    return {
      reason: `it has tablespaces of its own (${spaces.slice(0, 100)})`,
      remedy: 'Move their tables into the default tablespace.',
    }
  if (pages === 'off')
    return {
      reason: 'its full_page_writes is off',
      remedy: 'Set full_page_writes = on: without it a base backup may hold torn pages.',
    }
  return null
}

/** `lost`: WAL that the vault lacks is gone. `unreserved`: it goes with the next checkpoint, so what is there is fetched at once. */
function findLoss([restartLsn, walStatus, , type]: readonly (string | null)[]): string | null {
  if (type !== 'physical') return 'it is no physical slot'
  if (walStatus === 'lost' || (walStatus === null && restartLsn === null))
    return 'the server let WAL go that the vault had not received (max_slot_wal_keep_size)'
  return null
}

class SocketFeed implements WalFeed {
  readonly #name: string
  readonly #socket: Connected['socket']
  readonly #messages: ReplicationMessages
  #expected: bigint
  #durable: bigint
  #begun = false
  readonly #status: NodeJS.Timeout

  constructor(name: string, { socket }: Connected, { lsn }: { readonly lsn: bigint }) {
    this.#name = name
    this.#socket = socket
    this.#expected = lsn
    this.#durable = lsn
    this.#messages = new ReplicationMessages(socket, (why, cause) => failed(name, why, cause))
    socket.setTimeout(silentMs, () => void socket.destroy(new Error('silent')))
    this.#status = setInterval(() => this.#tell(), statusEveryMs)
  }

  async begin(slot: string, timeline: number): Promise<void> {
    this.#socket.write(queryMessage(`START_REPLICATION SLOT ${slot} PHYSICAL ${showLsn(this.#expected)} TIMELINE ${timeline}`))
    const message = await this.#messages.next()
    if (message[0] !== server.copyBoth) throw failed(this.#name, 'the server did not begin to send')
    this.#begun = true
  }

  async next(): Promise<{ readonly fromLsn: bigint; readonly bytes: Uint8Array }> {
    for (;;) {
      const message = await this.#messages.next()
      switch (message[0] ?? 0) {
        case server.copyData: {
          const wal = this.#read(message)
          if (wal !== null) return wal
          break
        }
        // The server goes on with another timeline, or is shutting down.
        case client.copyDone:
        case server.ready:
          throw failed(this.#name, 'the server ended the stream: it may have gone on to another timeline')
        default:
          break
      }
    }
  }

  #read(message: Buffer): { readonly fromLsn: bigint; readonly bytes: Uint8Array } | null {
    const at = headerBytes
    if (message[at] === word.keepalive) {
      if (message[at + 17] === 1) this.#tell()
      return null
    }
    if (message[at] !== word.wal || message.length < at + walHeaderBytes) return null
    const fromLsn = message.readBigUInt64BE(at + 1)
    const bytes = message.subarray(at + walHeaderBytes)
    if (fromLsn !== this.#expected)
      throw failed(this.#name, `WAL from ${showLsn(this.#expected)} was expected, and ${showLsn(fromLsn)} came`)
    this.#expected += BigInt(bytes.length)
    return { fromLsn, bytes }
  }

  confirm(received: bigint, durable: bigint): void {
    if (received > this.#expected || durable > received) return
    if (durable > this.#durable) this.#durable = durable
    this.#tell()
  }

  /** Written: received by us. Flushed: durable in the vault, which alone lets the server forget. Applied: as flushed. */
  #tell(): void {
    if (this.#socket.destroyed || !this.#begun) return
    const status = Buffer.alloc(34)
    status[0] = word.status
    status.writeBigUInt64BE(this.#expected, 1)
    status.writeBigUInt64BE(this.#durable, 9)
    status.writeBigUInt64BE(this.#durable, 17)
    status.writeBigInt64BE((BigInt(Date.now()) - epochMs) * 1000n, 25)
    this.#socket.write(copyDataMessage(status))
  }

  close(): void {
    clearInterval(this.#status)
    this.#socket.destroy()
  }
}

/** SQLSTATE only: a server's message may quote what it was given. It goes along as `cause`. */
function failed(name: string, why: string, cause?: unknown): SallyportError {
  // 58P01, undefined_file: the server removed WAL that was asked for. No other try will find it.
  const isGone = why.includes('SQLSTATE 58P01')
  return new SallyportError(
    isGone ? 'target_changed' : 'upstream_failed',
    `WAL of upstream ${name} could not be received: ${why}.`,
    'Nothing was confirmed to the server that the vault does not have; the server keeps the rest for its slot.',
    'The gate tries again by itself; `sallyport doctor` says how it stands.',
    { cause },
  )
}
