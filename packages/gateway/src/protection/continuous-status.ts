import { createHash } from 'node:crypto'
import { SallyportError, type Clock, type Log, type Vault, type WalSource, type WalVault } from '@sallyport/core'

export interface ContinuousSettings {
  readonly upstream: string
  /** Any moment of this long can be restored. */
  readonly keepMs: number
  readonly baseEveryMs: number
  readonly pieceEveryMs: number
  /** Whether each base copy is proven by a restore. */
  readonly drill: boolean
}

export interface ContinuousPorts {
  readonly source: WalSource
  readonly vault: Pick<Vault, 'seal' | 'list' | 'open'> & { readonly wal: WalVault }
  readonly log: Pick<Log, 'append'>
  readonly clock: Clock
  /** What outlives the gate. */
  readonly memory: { get(name: string): string | null; set(name: string, value: string): void }
}

/** How it stands, for people. */
export interface ContinuousStatus {
  readonly upstream: string
  readonly state: 'starting' | 'streaming' | 'stalled' | 'waiting' | 'impossible'
  /** What stands in the way, and what would change that. */
  readonly why: string | null
  readonly stream: string | null
  readonly durableLsn: string | null
  readonly durableAtMs: number | null
  /** Received or written by the server, and not in the vault yet. */
  readonly behindBytes: number | null
  readonly base: { readonly snapshot: string; readonly atMs: number } | null
  readonly provenAtMs: number | null
  /** How long the last restore that was proven took, with everything compared. */
  readonly restoreTookMs: number | null
}

/** A name of its own for each gate's state and upstream: two gates do not take each other's WAL. */
export function slotName(vault: string, upstream: string): string {
  return `sallyport_${createHash('sha256')
    .update(JSON.stringify([vault, upstream]))
    .digest('hex')
    .slice(0, 16)}`
}

function provenKey(stream: string): string {
  return `protection.proven.${stream}`
}

/** What is remembered of a restore that was proven: when, and how long it took. */
export function writeProven(memory: ContinuousPorts['memory'], stream: string, atMs: number, tookMs: number): void {
  memory.set(provenKey(stream), `${atMs} ${tookMs}`)
}

export function readProven(
  memory: ContinuousPorts['memory'],
  stream: string | null,
): { readonly atMs: number; readonly tookMs: number | null } | null {
  const stored = stream === null ? null : memory.get(provenKey(stream))
  const [, atMs, tookMs] = /^(\d+)(?: (\d+))?$/.exec(stored ?? '') ?? []
  return atMs === undefined ? null : { atMs: Number(atMs), tookMs: tookMs === undefined ? null : Number(tookMs) }
}

export function currentKey(upstream: string): string {
  return `protection.stream.${upstream}`
}

export function notProtected(upstream: string, why: string | null): SallyportError {
  return new SallyportError(
    'copy_failed',
    `${upstream} is not protected to this moment${why === null ? '' : `: ${why}`}`,
    'No restore point was made; nothing was run.',
    'The gate goes on by itself once it can; `sallyport doctor` says how it stands.',
  )
}
