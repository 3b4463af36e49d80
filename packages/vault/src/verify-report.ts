import type { ChunkReference, Outside } from './manifest.ts'
import type { ManifestName } from './thing-name.ts'

/** One thing that is not as it was sealed. */
export interface Damage {
  readonly kind:
    | 'missing_chunk'
    | 'damaged_chunk'
    | 'missing_manifest'
    | 'damaged_manifest'
    | 'forged_manifest'
    | 'damaged_part'
    | 'damaged_state'
    | 'damaged_wal'
    | 'foreign_file'
    /** A store would let this go before its time. */
    | 'not_retained'
  /** Relative to the vault's folder, or a bucket and what lies in it. */
  readonly file: string
  readonly what: string
  readonly snapshot?: string
  /** Name of the part, or its number where the key is not there to read the name. */
  readonly part?: string
  /** Which bytes of the part cannot be had from this file. */
  readonly range?: { readonly from: number; readonly bytes: number }
}

export interface Report {
  readonly ok: boolean
  readonly vault: string
  /** False: there was no key, so plaintext was not compared. */
  readonly decrypted: boolean
  /** Share of the chunks that was read: 1 is all. */
  readonly sample: number
  readonly snapshots: number
  /** Snapshots that the vault let go when their retention had ended. */
  readonly expired: number
  readonly parts: number
  readonly chunks: number
  /** Stored bytes read. */
  readonly bytes: number
  /** The newest snapshot found. That none came after it is for the log to say: compare with its last `snapshot.sealed`. */
  readonly newest: { readonly sequence: number; readonly id: string } | null
  /** Whole chunks that no manifest needs: left by a seal that was never finished. */
  readonly unreferenced: number
  readonly damage: readonly Damage[]
  /** Streams of WAL, and the pieces in them. */
  readonly wal: { readonly streams: number; readonly pieces: number }
  /** Tries to overwrite or hide what is here, without effect. */
  readonly traces: readonly { readonly file: string; readonly what: string }[]
  /** Snapshots of which not every part can be had from any store. */
  readonly lost: readonly string[]
}

/** What a verification has found so far. */
export interface Progress {
  readonly damage: Damage[]
  readonly traces: { readonly file: string; readonly what: string }[]
  readonly lost: Set<string>
  /** Addresses that manifests name. */
  readonly known: Set<string>
  parts: number
  bytes: number
}

export interface VerifySettings {
  /** Share of the chunks to read. Manifests and names are always checked in whole. */
  readonly sample: number
  readonly random: () => number
}

/** A snapshot whose manifest is genuine. */
export interface Sealed {
  readonly name: ManifestName
  readonly outside: Outside
  /** With what retention records added. */
  readonly retainUntilMs: number
  readonly parts: readonly { readonly name: string; readonly sha256: string | null; readonly chunks: readonly ChunkReference[] }[]
}
