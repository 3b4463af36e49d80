import { randomBytes } from 'node:crypto'
import { chown, lstat, mkdir, statfs, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Json } from '@sallyport/core'
import { z } from 'zod'
import { Awakening } from './awakening.ts'
import { type Loaded, loadCatalogue } from './catalogue.ts'
import { Fastener } from './fastener.ts'
import { ExpiryKeeper, type ExpiryReport } from './expiry.ts'
import type { CopyStore } from './copy-store.ts'
import { credentialPattern, hashCredential } from './credential.ts'
import { linkOnce, readIfThere, readWhole, replaceState, syncFolder, writeOnce } from './disk.ts'
import { VaultFailure } from './failure.ts'
import { signIdentity } from './identity.ts'
import { makeKeyFile, readKeyFile, type VaultKey } from './key.ts'
import { listen, type Listener } from './listener.ts'
import { takeLock } from './lock.ts'
import { hex64 } from './manifest.ts'
import { OpenSeals, type SealLimits } from './open-seals.ts'
import { becomeOsUser, findOsUser } from './os-user.ts'
import { readSignedLine, writeSignedLine } from './signed-line.ts'
import { openStores, type StoreSettings } from './open-stores.ts'
import { checkPrivateFolder } from './private-folder.ts'
import { forecastWal } from './storage-forecast.ts'
import { Store } from './store.ts'
import { StoreWatch } from './store-watch.ts'
import { TraceBook } from './trace-book.ts'
import { TrustedClock, type TimeSource } from './trusted-clock.ts'
import { readBootTime, VaultAge, type AgeRecord } from './vault-age.ts'
import { wrapForRecovery } from './recovery.ts'
import type { AsleepParts, VaultParts } from './verbs.ts'
import { WalStreams } from './wal-streams.ts'
import { Witness } from './witness.ts'

export interface ServeSettings {
  readonly folder: string
  readonly socketPath: string
  readonly tokenFile: string
  /** The user the vault becomes once it listens; only when started by root. */
  readonly user: string | null
  /** Whose gate may reach the socket and read the token; only when started by root. Null: the user who started the vault. */
  readonly gateUser: string | null
  readonly newCredential: boolean
  readonly stores: StoreSettings
  /** Whoever holds the identity of one of these (age) can read every copy, with nothing but a store. */
  readonly recoveryRecipients: readonly string[]
  /** Whether copies in the folder are to be made immutable; only when started by root. */
  readonly immutable: boolean
  readonly limits: SealLimits
  /** How often it looks for what need not be kept any longer. */
  readonly expiryEveryMs: number
  /** How often it looks for what was done to the copies behind its back. */
  readonly watchEveryMs: number
}

export interface RunningVault {
  readonly publicKey: string
  readonly snapshots: number
  readonly damaged: Loaded['damaged']
  /** Why it can neither seal nor read yet; null: it can. */
  readonly unready: string | null
  close(): Promise<void>
}

const stateBytesMax = 4096
const clockSchema = z.discriminatedUnion('v', [
  z.strictObject({ v: z.literal(1), atMs: z.int().min(0) }),
  z.strictObject({
    v: z.literal(2),
    atMs: z.int().min(0),
    agedMs: z.int().min(0),
    boot: z.strictObject({ id: z.string().max(64), ms: z.int().min(0) }).nullable(),
  }),
])
const credentialSchema = z.strictObject({ v: z.literal(1), sha256: hex64 })
const clockEveryMs = 60_000
/** Seals that may have been between two stores when the vault died. */
const leftBetweenMax = 8

/** Starts the vault: reaches the socket and the token as the user who started it, then works as `user`, then answers. */
export async function serve(settings: ServeSettings, time: TimeSource): Promise<RunningVault> {
  process.umask(0o077)
  const user = settings.user === null ? null : await findOsUser(settings.user)
  const gate = settings.gateUser === null ? null : await findOsUser(settings.gateUser)
  await mkdir(settings.folder, { recursive: true, mode: 0o700 })
  if (user) await chown(settings.folder, user.uid, user.gid)
  await makeMeetingPlace(dirname(settings.socketPath), gate)
  const credentialHash = await findCredential(settings.tokenFile, gate)
  const ready = Promise.withResolvers<VaultParts>()
  // A failed start is thrown below; requests that wait for it just end.
  ready.promise.catch(() => undefined)
  let refusals = 0
  let traces: TraceBook | null = null
  let asleep: (() => AsleepParts | null) | null = null
  const listener = await listen({
    socketPath: settings.socketPath,
    credentialHash,
    owner: gate,
    parts: ready.promise,
    asleep: () => asleep?.() ?? null,
    refused: () => void refusals++,
    tried: (name, why) => traces?.add({ kind: 'refused', place: 'vault', name, mark: why, what: why }),
  })
  const fastener = settings.immutable ? Fastener.start(settings.folder, user) : null
  try {
    // With the rights of whoever started it: the buckets' credential need not be readable by the vault's user.
    const stores = await openStores(settings.folder, settings.stores, () => time.wallMs(), fastener)
    if (user) becomeOsUser(user)
    const fallAsleep = (ask: () => AsleepParts | null): void => void (asleep = ask)
    const keepTraces = (book: TraceBook): void => void (traces = book)
    const door = { listener, credentialHash, refusals: () => refusals, ready: ready.resolve, fallAsleep, keepTraces }
    const running = await work({ ...settings, stores }, time, door)
    const close = async (): Promise<void> => {
      await running.close()
      fastener?.end()
    }
    return { ...running, close }
  } catch (error) {
    ready.reject(error)
    fastener?.end()
    await listener.close()
    throw error
  }
}

interface OpenDoor {
  readonly listener: Listener
  readonly credentialHash: string
  readonly refusals: () => number
  readonly ready: (parts: VaultParts) => void
  readonly fallAsleep: (ask: () => AsleepParts | null) => void
  readonly keepTraces: (traces: TraceBook) => void
}

interface OpenFolder {
  readonly settings: Omit<ServeSettings, 'stores'> & { readonly stores: readonly CopyStore[] }
  readonly time: TimeSource
  readonly key: VaultKey
  readonly witness: Witness
  readonly kept: Awaited<ReturnType<typeof readClock>>
}

/** What a vault is once it has read its places. */
interface Awake {
  readonly snapshots: number
  readonly damaged: Loaded['damaged']
  stop(): Promise<void>
}

async function work(settings: OpenFolder['settings'], time: TimeSource, door: OpenDoor): Promise<RunningVault> {
  const { folder } = settings
  await checkPrivateFolder(folder)
  const lock = takeLock(join(folder, 'lock'))
  const key = await openKey(folder)
  await keepCredential(folder, key, door.credentialHash, settings.newCredential)
  const witness = new Witness(folder, key)
  await witness.load()
  const open: OpenFolder = { settings, time, key, witness, kept: await readClock(folder, key) }
  const awakening = new Awakening(() => wake(open, door))
  door.fallAsleep(() => sleepingParts(open, door, awakening.reason))
  try {
    await awakening.begin()
  } catch (error) {
    await awakening.end()
    lock[Symbol.dispose]()
    throw error
  }
  const close = async (): Promise<void> => {
    await door.listener.close()
    await awakening.end()
    await awakening.awake?.stop()
    lock[Symbol.dispose]()
  }
  const { awake, reason } = awakening
  return { publicKey: key.publicKey, snapshots: awake?.snapshots ?? 0, damaged: awake?.damaged ?? [], unready: reason, close }
}

/** What is answered meanwhile; null once everything can be. */
function sleepingParts(
  { settings, time, key, witness, kept }: OpenFolder,
  door: OpenDoor,
  reason: string | null,
): AsleepParts | null {
  if (reason === null) return null
  const clock = new TrustedClock(time, kept.atMs)
  const health = async (): Promise<Json> => ({
    vault: key.publicKey,
    snapshots: 0,
    newest: null,
    openSeals: 0,
    damaged: [],
    refusals: door.refusals(),
    freeBytes: await freeBytes(settings.folder),
    clock: { nowMs: clock.nowMs(), jump: clock.jump() },
    witness: witness.state(),
    osUser: process.getuid?.() ?? null,
    immutable: false,
    worth: settings.stores.map(({ place, worth }) => `${place}: ${worth}`).join(' '),
    expiry: 'Nothing is let go while a place cannot be reached.',
    unready: reason,
  })
  return { witness, clock, health, reason }
}

/** @throws VaultFailure `store_unreachable` while a place cannot be reached */
async function wake({ settings, time, key, witness, kept }: OpenFolder, door: OpenDoor): Promise<Awake> {
  const { folder } = settings
  const store = new Store(folder, key.chunkKeys, settings.stores)
  await store.prepare()
  const { catalogue, damaged, newestMs, leftover } = await loadCatalogue(
    store,
    key,
    await wrapForRecovery(key, settings.recoveryRecipients),
  )
  const clock = new TrustedClock(time, Math.max(newestMs, kept.atMs))
  const age = new VaultAge({ monotonicMs: () => time.monotonicMs(), boot: readBootTime }, kept.age)
  const seals = new OpenSeals(store, key, catalogue, clock, age, settings.limits, () => time.monotonicMs())
  const { storedBytesMax } = settings.limits
  const hasRoom = (walBytes: number): boolean => storedBytesMax === null || catalogue.chunks.bytes + walBytes < storedBytesMax
  const streams = new WalStreams(store, key, clock, age, hasRoom)
  await streams.load()
  const expiry = new ExpiryKeeper(store, catalogue, streams, clock, age)
  const traces = new TraceBook(folder, key, clock)
  await traces.load()
  door.keepTraces(traces)
  const watch = new StoreWatch(settings.stores, catalogue, traces, () => clock.nowMs())
  // Manifests of what was let go just before the vault was stopped.
  if (clock.jump() === null) for (const name of leftover) await store.removeManifest(name, clock.nowMs())
  // What a crash left between two stores is there again before anything is answered; what a new store lacks comes with the first look.
  await catalogue.complete(leftBetweenMax).catch(() => undefined)
  const keepClock = (): Promise<void> =>
    replaceState(join(folder, 'clock'), writeSignedLine(key, 'clock', describeTime(clock, age)))
  await keepClock()
  const timer = setInterval(() => void keepClock().catch(() => undefined), clockEveryMs)
  const looks = startLooking(() => expiry.look(), settings.expiryEveryMs)
  const watches = startLooking(() => watch.look(), settings.watchEveryMs)
  const health = async (): Promise<Json> => ({
    vault: key.publicKey,
    snapshots: catalogue.size,
    newest: catalogue.newestId,
    openSeals: seals.size,
    damaged: damaged.map((one) => ({ ...one })),
    refusals: door.refusals(),
    freeBytes: await freeBytes(folder),
    clock: { nowMs: clock.nowMs(), jump: clock.jump() },
    witness: witness.state(),
    osUser: process.getuid?.() ?? null,
    immutable: store.stores.some(({ fastens }) => fastens),
    worth: store.stores.map(({ place, worth }) => `${place}: ${worth}`).join(' '),
    storage: { ...catalogue.forecast(clock.nowMs()), chunks: catalogue.chunks.size, quotaBytes: settings.limits.storedBytesMax },
    held: catalogue.held().map(({ id, reason }) => ({ id, reason })),
    wal: { streams: streams.list(null).length, ...forecastWal(streams.list(null)) },
    agedMs: age.nowMs(),
    expiry: describeExpiry(expiry.last),
    watch: { failed: watch.failed, traces: traces.last },
    unready: null,
  })
  door.ready({ store, catalogue, seals, clock, witness, streams, traces, health })
  const stop = async (): Promise<void> => {
    clearInterval(timer)
    await Promise.all([looks.stop(), watches.stop()])
    await traces.flush()
    await keepClock()
  }
  return { snapshots: catalogue.size, damaged, stop }
}

function describeExpiry(last: ExpiryReport | null): string {
  if (last === null) return 'Not looked yet.'
  if (last.frozen !== null) return last.frozen
  const failed = last.failed.length === 0 ? '' : ` ${last.failed.length} could not be removed: ${last.failed[0] ?? ''}`
  return `At the last look ${last.expired.length} snapshots and ${last.chunksRemoved} chunks were let go.${failed}`
}

/** Looks at once and then again and again, never twice at the same time. */
function startLooking(job: () => Promise<unknown>, everyMs: number): { stop(): Promise<void> } {
  let looking: Promise<void> | null = null
  const look = async (): Promise<void> => {
    try {
      await job()
    } finally {
      looking = null
    }
  }
  const begin = (): void => {
    looking ??= look()
    // It tells of failures by itself; this one would be of its own code.
    looking.catch(() => undefined)
  }
  begin()
  const timer = setInterval(begin, everyMs)
  return {
    stop: async () => {
      clearInterval(timer)
      await Promise.allSettled([looking])
    },
  }
}

/** The folder of the socket: only the gate's user can enter it. An existing one is taken as it is, unless others can write to it. */
async function makeMeetingPlace(folder: string, gate: { readonly uid: number; readonly gid: number } | null): Promise<void> {
  const made = await mkdir(folder, { recursive: true, mode: 0o700 })
  if (made !== undefined && gate) await chown(folder, gate.uid, gate.gid)
  const status = await lstat(folder)
  if (!status.isDirectory() || (status.mode & 0o022) !== 0) {
    throw new VaultFailure(
      'bad_request',
      "Others can write to the folder of the socket: they could put another vault's socket there. Nothing was started.",
    )
  }
}

/** The hash of the gate's credential. Made, and written for the gate to read, when there is none. */
async function findCredential(path: string, gate: { readonly uid: number; readonly gid: number } | null): Promise<string> {
  const there = await readIfThere(path, stateBytesMax)
  if (there) {
    const secret = there.toString('utf8').trim()
    if (((await lstat(path)).mode & 0o077) !== 0)
      throw new VaultFailure('bad_request', "Others can read the gate's credential: chmod 0600 it. Nothing was started.")
    if (!credentialPattern.test(secret))
      throw new VaultFailure('bad_request', "The gate's credential file holds something else. Nothing was started.")
    return hashCredential(secret)
  }
  const secret = randomBytes(32).toString('hex')
  await writeOnce(path, Buffer.from(`${secret}\n`), 0o600)
  if (gate) await chown(path, gate.uid, gate.gid)
  await syncFolder(dirname(path))
  return hashCredential(secret)
}

/** Another credential than last time is taken only when the person who starts the vault says so. */
async function keepCredential(folder: string, key: VaultKey, credentialHash: string, isNew: boolean): Promise<void> {
  const path = join(folder, 'credential')
  const there = await readIfThere(path, stateBytesMax)
  const known = there ? credentialSchema.parse(readSignedLine(key.publicKey, 'credential', there)).sha256 : null
  if (known === credentialHash) return
  if (known !== null && !isNew) {
    throw new VaultFailure(
      'bad_request',
      "The gate's credential is not the one this vault knows. Put the old file back, or start once with --new-credential.",
    )
  }
  await replaceState(path, writeSignedLine(key, 'credential', { v: 1, sha256: credentialHash }))
}

async function openKey(folder: string): Promise<VaultKey> {
  const path = join(folder, 'key')
  const there = await readIfThere(path, stateBytesMax)
  const key = readKeyFile((there ?? (await makeKey(folder, path))).toString('utf8'))
  const identity = signIdentity(key)
  const kept = await readIfThere(join(folder, 'identity'), stateBytesMax)
  if (kept && !kept.equals(identity))
    throw new VaultFailure('damaged', "The vault's key does not fit its identity. Nothing was started.")
  if (!kept) await replaceState(join(folder, 'identity'), identity)
  return key
}

/** A new key, unless the folder has copies already: then its key is lost, and a new one would hide that. */
async function makeKey(folder: string, path: string): Promise<Buffer> {
  if (await readIfThere(join(folder, 'identity'), stateBytesMax)) {
    throw new VaultFailure(
      'damaged',
      "The vault's key is gone, and its copies cannot be read without it. Put the key file back. Nothing was started.",
    )
  }
  const staged = `${path}.${process.pid}.next`
  await writeOnce(staged, Buffer.from(makeKeyFile(randomBytes)), 0o600)
  linkOnce(staged, path)
  await unlink(staged)
  await syncFolder(folder)
  return await readWhole(path, stateBytesMax)
}

function describeTime(clock: TrustedClock, age: VaultAge): Json {
  const { agedMs, boot } = age.record()
  return { v: 2, atMs: clock.nowMs(), agedMs, boot: boot && { ...boot } }
}

async function readClock(folder: string, key: VaultKey): Promise<{ readonly atMs: number; readonly age: AgeRecord | null }> {
  const there = await readIfThere(join(folder, 'clock'), stateBytesMax)
  if (!there) return { atMs: 0, age: null }
  const clock = clockSchema.parse(readSignedLine(key.publicKey, 'clock', there))
  return { atMs: clock.atMs, age: clock.v === 2 ? { agedMs: clock.agedMs, boot: clock.boot } : null }
}

async function freeBytes(folder: string): Promise<number> {
  const status = await statfs(folder)
  return status.bavail * status.bsize
}
