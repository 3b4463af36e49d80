import { createHash } from 'node:crypto'
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  parseLsn,
  SallyportError,
  showLsn,
  type BaseManifest,
  type Progress,
  type RecoveryMoment,
  type WalStream,
} from '@sallyport/core'
import { z } from 'zod'
import { unpackTar } from './base-backup-tar.ts'
import { clearWal, findWalEnd, writeWal, type WalPlace } from './recover-wal.ts'
import { canEnter } from './scratch-server-binaries.ts'
import { findScratchUser, startScratchServer, type ScratchPlace, type ScratchServer } from './scratch-server.ts'

/** What a server is recovered from: a base copy, and the stream that goes on from it. */
export interface RecoverySource {
  readonly base: BaseManifest
  readonly baseBytes: number
  readonly stream: WalStream
  openBase(): AsyncIterable<Uint8Array>
  /** WAL from a position on, through what was sealed at `untilMs` or, with null, to the end. */
  openWal(fromLsn: string, untilMs: number | null): AsyncIterable<Uint8Array>
}

export interface RecoverOptions {
  readonly source: RecoverySource
  readonly target: RecoveryMoment
  /** A new or empty folder, or one in which the same recovery was begun before. */
  readonly into: string
  /** True: folder and all are taken away when the server stops. */
  readonly remove: boolean
  readonly report: (progress: Progress) => void
}

/** A server that stands where it was asked to, started and ready to be asked. */
export interface RecoveredServer {
  readonly server: ScratchServer
  readonly data: string
  /** Time of the last transaction that was replayed, as the server says it; null when none was. */
  readonly lastTransaction: string | null
  /** True when WAL ended before the target: nothing was written between. */
  readonly reachedEnd: boolean
}

type Stage = 'base' | 'wal' | 'replay' | 'done'
const stateShape = z.strictObject({ v: z.literal(1), what: z.string(), stage: z.enum(['base', 'wal', 'replay', 'done']) })
/** The gate's clock and the server's may differ by this much. */
const clockSkewMs = 120_000
const mebibyte = 1 << 20

/**
 * Puts a server back as it was at a moment: unpacks the base copy, lays the stream's WAL beside it, and lets PostgreSQL replay it up to the target. A
 * recovery that was interrupted goes on where it was: what is unpacked is not unpacked again, and WAL that lies there is not fetched again.
 */
export async function recoverServer(options: RecoverOptions): Promise<RecoveredServer> {
  const { source, target, into, remove, report } = options
  const { base, stream } = source
  checkTarget(base, stream, target)
  const place = makePlace(into)
  const what = JSON.stringify([base.stream, base.startLsn, base.partSha256, target])
  let { stage } = readState(into, what)
  if (stage === 'base') {
    rmSync(place.data, { recursive: true, force: true })
    makeFolder(place.data, place)
    await unpackBase(source, place, report)
    await clearWal(walPlaceOf(place, base))
    stage = 'wal'
    writeState(into, what, stage)
  }
  if (stage === 'wal') {
    await fetchWal(source, walPlaceOf(place, base), target, report)
    stage = 'replay'
    writeState(into, what, stage)
  }
  // It was restored before: it stands where it was asked to.
  if (stage === 'done') return await startAgain(place, base, remove)
  const recovered = await replay(options, place, remove)
  writeState(into, what, 'done')
  return recovered
}

async function startAgain(place: ScratchPlace, base: BaseManifest, remove: boolean): Promise<RecoveredServer> {
  const [own, aside] = [join(place.data, 'postgresql.auto.conf'), join(place.folder, 'postgresql.auto.conf')]
  if (existsSync(own)) renameSync(own, aside)
  const server = await startScratchServer({ place, superuser: base.superuser, database: 'template1', remove })
  if (existsSync(aside)) renameSync(aside, own)
  return { server, data: place.data, lastTransaction: null, reachedEnd: false }
}

/** @throws SallyportError for what no replay can reach */
function checkTarget(base: BaseManifest, stream: WalStream, target: RecoveryMoment): void {
  if (stream.id !== base.stream) throw notRestored('the base copy goes on into another stream')
  if (stream.damage !== null) throw notRestored(`the stream is broken: ${stream.damage}`)
  if (parseLsn(stream.toLsn) < parseLsn(base.endLsn)) throw notRestored('WAL ends before the base copy is consistent')
  if (target.kind === 'time' && target.atMs < base.endedAtMs)
    throw notRestored(`the base copy is of ${new Date(base.endedAtMs).toISOString()}, later than asked for`)
  if (target.kind === 'lsn' && parseLsn(target.lsn) < parseLsn(base.endLsn))
    throw notRestored(`the base copy reaches to ${base.endLsn}, further than asked for`)
  if (target.kind === 'lsn' && parseLsn(target.lsn) > parseLsn(stream.toLsn))
    throw notRestored(`the stream ends at ${stream.toLsn}, before what is asked for`)
}

function makePlace(into: string): ScratchPlace {
  const owner = findScratchUser()
  const place: ScratchPlace = { folder: into, data: join(into, 'data'), owner }
  mkdirSync(into, { recursive: true, mode: owner === null ? 0o700 : 0o711 })
  chmodSync(into, owner === null ? 0o700 : 0o711)
  if (owner !== null && !canEnter(into, owner))
    throw notRestored(`PostgreSQL does not run as root, and the user it runs as (uid ${owner.uid}) cannot enter ${into}`)
  if (!existsSync(join(into, 'socket'))) makeFolder(join(into, 'socket'), place)
  return place
}

function makeFolder(path: string, { owner }: ScratchPlace): void {
  mkdirSync(path, { mode: 0o700 })
  if (owner !== null) chownSync(path, owner.uid, owner.gid)
}

function walPlaceOf({ data, owner }: ScratchPlace, { timeline, segmentBytes }: BaseManifest): WalPlace {
  return { folder: join(data, 'pg_wal'), timeline, segmentBytes, owner }
}

function readState(into: string, what: string): { readonly stage: Stage } {
  const path = join(into, 'recovery.json')
  if (!existsSync(path)) {
    if (existsSync(join(into, 'data'))) throw notRestored(`${into} holds something else already`)
    writeState(into, what, 'base')
    return { stage: 'base' }
  }
  const state = stateShape.parse(JSON.parse(readFileSync(path, 'utf8')))
  if (state.what !== what) throw notRestored(`in ${into} something else was being restored: another base copy, or another moment`)
  return state
}

function writeState(into: string, what: string, stage: Stage): void {
  const path = join(into, 'recovery.json')
  writeFileSync(`${path}.next`, JSON.stringify({ v: 1, what, stage }), { mode: 0o600 })
  renameSync(`${path}.next`, path)
}

async function unpackBase(source: RecoverySource, place: ScratchPlace, report: RecoverOptions['report']): Promise<void> {
  const sum = createHash('sha256')
  let done = 0
  const counted = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of source.openBase()) {
      sum.update(chunk)
      done += chunk.length
      report({ step: 'base copy', done, total: Math.max(done, source.baseBytes) })
      yield chunk
    }
  }
  await unpackTar(counted(), place.data, place.owner)
  if (sum.digest('hex') !== source.base.partSha256) throw notRestored('what the vault gave is not the base copy that was sealed')
}

async function fetchWal(
  source: RecoverySource,
  place: WalPlace,
  target: RecoveryMoment,
  report: RecoverOptions['report'],
): Promise<void> {
  const { base, stream } = source
  const from = await findWalEnd(place, parseLsn(base.startLsn))
  const end = parseLsn(stream.toLsn)
  const untilMs = target.kind === 'time' ? target.atMs + clockSkewMs : null
  const total = Number(end - from)
  if (total <= 0) return
  await writeWal(place, from, source.openWal(showLsn(from), untilMs), (at) =>
    report({ step: 'WAL', done: Number(at - from), total }),
  )
}

async function replay(
  { source, target, report }: RecoverOptions,
  place: ScratchPlace,
  remove: boolean,
): Promise<RecoveredServer> {
  const { base } = source
  const aside = join(place.folder, 'postgresql.auto.conf')
  const own = join(place.data, 'postgresql.auto.conf')
  // The trial start runs without the settings that the server itself wrote; they are put back for the real one.
  if (existsSync(own) && !existsSync(aside)) renameSync(own, aside)
  let said = ''
  let lastTransaction: string | null = null
  const hear = (text: string): void => {
    said = (said + text).slice(-4_000)
    const at = [...said.matchAll(/current LSN: ([0-9A-F]+\/[0-9A-F]+)/g)].at(-1)?.[1]
    if (at !== undefined) report(replayProgress(base, source.stream, at))
    lastTransaction = /last completed transaction was at log time ([0-9:. +-]+[A-Z0-9+]*)/.exec(said)?.[1] ?? lastTransaction
  }
  const start = (settings: readonly string[]): Promise<ScratchServer> => {
    const recovery = { settings: [...always, ...settings], said: hear }
    return startScratchServer({ place, superuser: base.superuser, database: 'template1', remove, recovery })
  }
  let reachedEnd = target.kind === 'end'
  let server: ScratchServer
  try {
    server = await start(targetSettings(target))
  } catch (error) {
    const ended = error instanceof Error && /recovery ended before configured recovery target was reached/.test(error.message)
    // After the last record of the stream nothing was written: its end is how the server was at that time, or place, too.
    if (!ended || (target.kind !== 'time' && target.kind !== 'lsn')) throw asNotRestored(error)
    reachedEnd = true
    server = await start([]).catch((thrown: unknown) => {
      throw asNotRestored(thrown)
    })
  }
  if (existsSync(aside)) renameSync(aside, own)
  return { server, data: place.data, lastTransaction, reachedEnd }
}

const always = [
  // All of it lies in pg_wal already.
  `restore_command = '/bin/false'`,
  `recovery_target_timeline = 'current'`,
  `recovery_target_action = 'promote'`,
  // Nobody asks it before it is there, and limits of the original need not be met.
  'hot_standby = off',
  `log_startup_progress_interval = '1s'`,
]

function targetSettings(target: RecoveryMoment): readonly string[] {
  switch (target.kind) {
    case 'time':
      return [`recovery_target_time = '${new Date(target.atMs).toISOString().replace('T', ' ').replace('Z', '+00')}'`]
    case 'lsn':
      // Everything that was written before this position, and nothing that begins at it.
      return [`recovery_target_lsn = '${showLsn(parseLsn(target.lsn))}'`, 'recovery_target_inclusive = off']
    case 'point':
      if (!/^[A-Za-z0-9_.:-]{1,63}$/.test(target.name)) throw notRestored('this is no name of a restore point')
      return [`recovery_target_name = '${target.name}'`]
    case 'end':
      return []
  }
}

function replayProgress(base: BaseManifest, stream: WalStream, at: string): Progress {
  const from = parseLsn(base.startLsn)
  const inMebibytes = (position: bigint): number => Math.ceil(Number(position - from) / mebibyte)
  return { step: 'replay, MiB', done: inMebibytes(parseLsn(at)), total: inMebibytes(parseLsn(stream.toLsn)) }
}

function asNotRestored(error: unknown): SallyportError {
  if (error instanceof SallyportError) return error
  return notRestored(error instanceof Error ? error.message.slice(0, 300) : 'no reason was given', error)
}

function notRestored(why: string, cause?: unknown): SallyportError {
  return new SallyportError(
    'copy_failed',
    `The server could not be restored: ${why}.`,
    'What is in the vault is as it was.',
    'Ask for another moment, or name another folder; the same command goes on where it was cut short.',
    { cause },
  )
}
