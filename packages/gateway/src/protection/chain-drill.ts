import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listTables, recoverServer, sumTables, type TableSum } from '@sallyport/connectors'
import {
  baseManifestShape,
  parseLsn,
  SallyportError,
  type Vault,
  type WalSource,
  type WalStream,
  type WalVault,
} from '@sallyport/core'

export interface ChainDrillPorts {
  readonly source: WalSource
  readonly vault: Pick<Vault, 'open'> & { readonly wal: WalVault }
  /** Resolves once everything before a position is durable. */
  readonly untilDurable: (lsn: bigint) => Promise<void>
}

export interface DrilledChain {
  readonly lsn: string
  readonly tables: number
  readonly rows: number
}

/**
 * A commit is in WAL a moment before others see it: then the snapshot that is summed up lacks what the position that is restored to has, and both are
 * taken anew. Where the protect role may lock the tables, writers are held back for that moment, and it cannot be.
 */
const triesMax = 3
const stillTimeoutMs = 2_000

/**
 * Restores this very chain for real: the live server is summed up at one moment, table by table; base copy and WAL are taken out of the vault, replayed to
 * that moment on a scratch server, and every table summed up there too. Throws when anything differs or could not be compared.
 */
export async function drillChain(ports: ChainDrillPorts, stream: WalStream, base: string): Promise<DrilledChain> {
  for (let left = triesMax - 1; ; left -= 1) {
    const live = await sumLive(ports)
    const restored = await sumRestored(ports, stream, base, live)
    const different = [...live.sums].filter(([label, sum]) => !isSame(sum, restored.get(label))).map(([label]) => label)
    if (different.length === 0) {
      const rows = [...live.sums.values()].reduce((total, sum) => total + sum.rows, 0)
      return { lsn: live.lsn, tables: live.sums.size, rows }
    }
    if (left === 0) throw notProven(`${different.length} tables differ from the original, such as ${different[0] ?? ''}`)
  }
}

function isSame(left: TableSum, right: TableSum | undefined): boolean {
  return right !== undefined && left.rows === right.rows && left.sha256 === right.sha256
}

interface LiveSums {
  readonly lsn: string
  readonly sums: ReadonlyMap<string, TableSum>
}

/** Every logged table of the database, as of one position in WAL. */
async function sumLive({ source }: ChainDrillPorts): Promise<LiveSums> {
  const session = await source.session()
  let still: Awaited<ReturnType<typeof holdStill>> = null
  try {
    const { ask } = session
    still = await holdStill(source)
    await ask('BEGIN ISOLATION LEVEL REPEATABLE READ')
    await ask('SET LOCAL row_security = off')
    // Not transactional: it is in WAL at once, and the snapshot of this very statement is what is summed up.
    const [row] = await ask(`SELECT pg_catalog.pg_logical_emit_message(false, 'sallyport', 'drill')::pg_catalog.text`)
    still?.end()
    const unlogged = new Set((await ask(unloggedSql)).map(([label]) => label))
    const tables = (await listTables(ask)).filter(({ label }) => !unlogged.has(label))
    return { lsn: row?.[0] ?? '0/0', sums: await sumTables(ask, tables) }
  } finally {
    still?.end()
    session.end()
  }
}

/** Lets nobody write for as long as it takes to take a snapshot. Null where that may not be, or somebody writes for longer than is waited for. */
async function holdStill(source: WalSource): Promise<Awaited<ReturnType<WalSource['session']>> | null> {
  const session = await source.session()
  try {
    const { ask } = session
    await ask('BEGIN')
    await ask(`SET LOCAL lock_timeout = ${stillTimeoutMs}`)
    const names = (await listTables(ask)).filter(({ lockable }) => lockable).map(({ label }) => `ONLY ${label}`)
    if (names.length > 0) await ask(`LOCK TABLE ${names.join(', ')} IN SHARE MODE`)
    return session
  } catch {
    session.end()
    return null
  }
}

const unloggedSql = `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relpersistence = 'u'`

async function sumRestored(
  { source, vault, untilDurable }: ChainDrillPorts,
  stream: WalStream,
  base: string,
  live: LiveSums,
): Promise<ReadonlyMap<string, TableSum>> {
  // Something must follow, or replay cannot tell that it has come far enough.
  const after = await source.mark('sallyport-drill')
  await untilDurable(parseLsn(after.lsn))
  const now = (await vault.wal.list(stream.upstream)).find(({ id }) => id === stream.id)
  if (now === undefined) throw notProven('the stream is no longer in the vault')
  const reader = await vault.open(base)
  const manifest = baseManifestShape.parse(reader.manifest)
  const into = mkdtempSync(join(tmpdir(), `sallyport-chain-drill-${process.pid}-`))
  try {
    const { server } = await recoverServer({
      source: {
        base: manifest,
        baseBytes: reader.snapshot.bytes,
        stream: now,
        openBase: () => reader.read(manifest.part),
        openWal: (from) => vault.wal.read(stream.id, from),
      },
      target: { kind: 'lsn', lsn: live.lsn },
      into,
      remove: true,
      report: () => undefined,
    })
    try {
      const { ask, end } = await server.open(manifest.database)
      try {
        const tables = (await listTables(ask)).filter(({ label }) => live.sums.has(label))
        return await sumTables(ask, tables)
      } finally {
        await end()
      }
    } finally {
      await server.stop()
    }
  } finally {
    rmSync(into, { recursive: true, force: true, maxRetries: 5 })
  }
}

function notProven(why: string): SallyportError {
  return new SallyportError(
    'copy_failed',
    `A restore of this chain could not be proven: ${why}.`,
    'Its restore points count for nothing until one is.',
    'Look at what the message names; the gate tries again by itself.',
  )
}
