import { type DatabaseSync } from 'node:sqlite'
import type { VaultHealth } from '../vault/vault-client.ts'
import { openMeta } from '../store/meta.ts'

/** What stands between this gate and its work; a word each, and no text of anybody's. */
export interface Readiness {
  readonly ready: boolean
  readonly problems: readonly string[]
}

export interface ReadinessPorts {
  readonly log: { health(): { readonly state: string } }
  readonly database: DatabaseSync
  readonly vault: { health(): Promise<Pick<VaultHealth, 'unready'>> }
  readonly isLeaving: () => boolean
  /** Why this gate must not act; null: it may. Absent: it is the only one. */
  readonly lease?: () => string | null
  readonly nowMs: () => number
}

/** Between two looks: whoever asks more often gets the same answer, since each costs a durable write. */
const believedMs = 2_000
const vaultWithinMs = 3_000

/** Whether agents should be sent here: a log that takes events, a store that takes writes, a vault that answers, and no end in sight. */
export function openReadiness(ports: ReadinessPorts): () => Promise<Readiness> {
  let last: { readonly atMs: number; readonly answer: Promise<Readiness> } | null = null
  return async () => {
    if (ports.isLeaving()) return { ready: false, problems: ['leaving'] }
    const atMs = ports.nowMs()
    if (last === null || Math.abs(atMs - last.atMs) > believedMs) last = { atMs, answer: look(ports) }
    return last.answer
  }
}

async function look({ log, database, vault, lease }: ReadinessPorts): Promise<Readiness> {
  const problems = [
    ...(log.health().state === 'failed' ? ['log'] : []),
    ...(isWritable(database) ? [] : ['store']),
    ...((await isAwake(vault)) ? [] : ['vault']),
    ...(lease === undefined || lease() === null ? [] : ['lease']),
  ]
  return { ready: problems.length === 0, problems }
}

/** Really written: a disk that is full reads as well as ever. */
function isWritable(database: DatabaseSync): boolean {
  try {
    const meta = openMeta(database)
    meta.set('ready', String(Number(meta.get('ready') ?? 0) + 1))
    return true
  } catch {
    return false
  }
}

async function isAwake(vault: ReadinessPorts['vault']): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => resolve(false), vaultWithinMs)
  try {
    return await Promise.race([vault.health().then(({ unready }) => unready === null), late])
  } catch {
    return false
  } finally {
    clearTimeout(timer)
  }
}
