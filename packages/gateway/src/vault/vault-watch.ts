import type { Clock, Json, Log } from '@sallyport/core'
import { z } from 'zod'
import {
  openVault,
  type VaultClient,
  type VaultExpiry,
  type VaultHealth,
  type VaultSettings,
  type VaultTrace,
} from './vault-client.ts'

/** What outlives a gate. */
interface Memory {
  get(key: string): string | null
  set(key: string, value: string): void
}

export interface WatchPorts {
  readonly vault: Pick<VaultClient, 'health' | 'expiries' | 'traces'>
  readonly log: Pick<Log, 'append'>
  readonly meta: Memory
  readonly clock: Clock
  readonly everyMs?: number
}

export interface VaultWatch {
  /** Looks now; resolves when what was found is on the log. */
  look(): Promise<void>
  close(): Promise<void>
}

const lookEveryMs = 10_000
const memoryKey = 'vault.watched'
const memoryShape = z.object({
  expiredAtMs: z.number(),
  jump: z.string().nullable(),
  refusals: z.number(),
  damaged: z.number(),
  unready: z.string().nullable().default(null),
  /** It will be full soon, and that was said. */
  filling: z.boolean().default(false),
  /** The last try at the copies that is on the log. */
  trace: z.number().default(0),
})
type Watched = z.infer<typeof memoryShape>

/** The vault this state was first used with, or none: another one would not have the copies that the log speaks of. */
export async function openPinnedVault(settings: Omit<VaultSettings, 'publicKey'>, meta: Memory): Promise<VaultClient> {
  const vault = await openVault({ ...settings, publicKey: meta.get('vault') })
  meta.set('vault', vault.publicKey)
  return vault
}

/**
 * Brings onto the log what the vault alone knows: which snapshots it let go, and what should ring: a clock that jumped, somebody who knocked
 * without the credential, copies that cannot be read, tries to lose, change or hide one. Each once, also over a restart of the gate.
 */
export function watchVault(ports: WatchPorts): VaultWatch {
  const stopped = new AbortController()
  let turn: Promise<void> = Promise.resolve()
  const look = (): Promise<void> => {
    turn = turn.then(() => lookOnce(ports))
    return turn
  }
  const watching = (async () => {
    while (!stopped.signal.aborted) {
      await ports.clock.sleep(ports.everyMs ?? lookEveryMs, stopped.signal).catch(() => undefined)
      if (!stopped.signal.aborted) await look()
    }
  })()
  const close = async (): Promise<void> => {
    stopped.abort()
    await watching
  }
  return { look, close }
}

/** A vault that does not answer is noticed by everything that needs it; here the next look makes up for it. */
async function lookOnce({ vault, log, meta, clock }: WatchPorts): Promise<void> {
  try {
    const before = recall(meta)
    const health = await vault.health()
    for (const data of findAlarms(before, health)) await log.append({ type: 'alarm', atMs: clock.nowMs(), data })
    if (health.unready !== null)
      return meta.set(memoryKey, JSON.stringify({ ...before, unready: health.unready } satisfies Watched))
    const expiries = await vault.expiries(before.expiredAtMs)
    for (const expiry of expiries) await log.append({ type: 'snapshot.expired', atMs: clock.nowMs(), data: describe(expiry) })
    const trace = await tellTraces({ vault, log, clock }, before.trace)
    const expiredAtMs = expiries.at(-1)?.atMs ?? before.expiredAtMs
    const { clock: vaultClock, refusals, damaged } = health
    meta.set(
      memoryKey,
      JSON.stringify({
        expiredAtMs,
        jump: vaultClock.jump,
        refusals,
        damaged: damaged.length,
        unready: null,
        filling: daysLeft(health) !== null,
        trace,
      } satisfies Watched),
    )
  } catch {
    return
  }
}

/** The number of the last try that is on the log now. */
async function tellTraces({ vault, log, clock }: Pick<WatchPorts, 'vault' | 'log' | 'clock'>, seen: number): Promise<number> {
  const asked = await vault.traces(seen)
  // A vault that lost its folder, and not its stores, counts anew.
  const { traces, last } = asked.last < seen ? await vault.traces(0) : asked
  for (const trace of traces) await log.append({ type: 'alarm', atMs: clock.nowMs(), data: describeTrace(trace) })
  return traces.at(-1)?.number ?? last
}

function describeTrace({ kind, place, name, what, times, atMs }: VaultTrace): Record<string, Json> {
  return { kind: 'vault_tampering', try: kind, place, name, what, times, seenAtMs: atMs }
}

/** Fewer days than this until nothing can be sealed any more, at the pace of the last thirty: somebody should know. */
const daysLeftMin = 3

/** How many whole days of room are left; null while there are enough, or nobody knows. */
function daysLeft({ storage, wal, freeBytes }: VaultHealth): number | null {
  if (storage === null) return null
  const perDay = storage.addedBytesPerDay + (wal?.addedBytesPerDay ?? 0)
  const quotaLeft = storage.quotaBytes === null ? freeBytes : storage.quotaBytes - storage.bytes - (wal?.storedBytes ?? 0)
  const days = Math.max(0, Math.min(freeBytes, quotaLeft)) / Math.max(1, perDay)
  return days < daysLeftMin ? Math.floor(days) : null
}

function findAlarms(before: Watched, health: VaultHealth): readonly Record<string, Json>[] {
  const { clock, refusals, damaged, unready } = health
  const alarms: Record<string, Json>[] = []
  if (unready !== null && before.unready === null) alarms.push({ kind: 'vault_unready', what: unready })
  if (unready === null && before.unready !== null)
    alarms.push({ kind: 'vault_ready', what: 'copies can be sealed and read again' })
  // What it says of the rest holds once it is awake.
  if (unready !== null) return alarms
  if (clock.jump !== null && clock.jump !== before.jump)
    alarms.push({ kind: 'vault_clock', what: clock.jump, expiry: 'nothing expires until the vault is started anew' })
  const days = daysLeft(health)
  if (days !== null && !before.filling)
    alarms.push({ kind: 'vault_filling', daysLeft: days, what: 'nothing that needs a copy runs once the vault is full' })
  // The vault counts from its start: fewer than before are all new.
  const knocks = refusals >= before.refusals ? refusals - before.refusals : refusals
  if (knocks > 0) alarms.push({ kind: 'vault_refused', times: knocks })
  if (damaged.length > before.damaged)
    alarms.push({ kind: 'vault_damaged', files: damaged.slice(0, 20).map(({ file, what }) => ({ file, what })) })
  return alarms
}

function describe({ snapshot, sequence, upstream, madeAtMs, retainUntilMs, atMs }: VaultExpiry): Record<string, Json> {
  return { snapshot, sequence, upstream, madeAtMs, retainUntilMs, expiredAtMs: atMs }
}

function recall(meta: Memory): Watched {
  const nothing = { expiredAtMs: 0, jump: null, refusals: 0, damaged: 0, unready: null, filling: false, trace: 0 }
  try {
    return memoryShape.parse(JSON.parse(meta.get(memoryKey) ?? ''))
  } catch {
    return nothing
  }
}
