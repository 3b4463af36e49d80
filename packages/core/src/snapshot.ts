import type { Question } from './access-request.ts'
import { severity } from './impact.ts'

/** `rows` and `tables` are copied for one statement; `log` is a beginning of the log; the others are a whole thing, by its producer (producer.ts). */
export const snapshotKinds = ['rows', 'tables', 'database', 'folder', 'sqlite', 'bucket', 'base', 'log'] as const
export type SnapshotKind = (typeof snapshotKinds)[number]

/** A sealed copy in the vault, read back and compared (DESIGN §2). */
export interface Snapshot {
  /** The vault's id of the manifest: SHA-256 of the sealed manifest, hex. */
  readonly id: string
  readonly kind: SnapshotKind
  readonly upstream: string
  readonly upstreamIdentity: string
  /** Digest of the request it was made for. */
  readonly digest: string
  /** Index of the log event that announced it, for finding one from the other. */
  readonly madeAtMs: number
  readonly rows: number
  readonly bytes: number
  /** SHA-256 over the ordered rows of each table as read under lock and as restored to scratch; equal or there is no snapshot. */
  readonly checksums: { readonly [table: string]: string }
  readonly retainUntilMs: number
}

/** One part of a snapshot, written once: `name` is a path such as `tables/public.orders/data`. */
export interface SealPart {
  readonly name: string
  readonly bytes: AsyncIterable<Uint8Array>
}

/** The way into the vault that a connector gets: it can add parts and finish; nothing else. */
export interface Seal {
  put(part: SealPart): Promise<{ readonly sha256: string; readonly bytes: number }>
  /** Reads a part back out of the vault as it now lies there. */
  read(name: string): AsyncIterable<Uint8Array>
}

/**
 * Whether a snapshot holds all that this question would lose. One of the same upstream that holds something else is no comfort, and is not shown
 * as one.
 */
export function coversQuestion(snapshot: Snapshot, question: Question): boolean {
  if (snapshot.upstream !== question.upstream || snapshot.kind !== 'tables') return false
  const losing = question.operations.filter(({ kind }) => severity(kind) >= severity('destroy'))
  const names = losing.flatMap(({ tables, resources }) => {
    const volume = resources.find(({ type }) => type === 'volume')
    return tables.map((table) => (volume === undefined ? table : nameOnVolume(volume.identity ?? volume.name, table)))
  })
  return names.length > 0 && names.every((name) => Object.hasOwn(snapshot.checksums, name))
}

/** A table of a volume's copy, among its checksums. */
export function nameOnVolume(volume: string, table: string): string {
  return `${volume}/${table}`
}
