/** A sealed copy in the vault, read back and compared (DESIGN §2). */
export interface Snapshot {
  /** The vault's id of the manifest: SHA-256 of the sealed manifest, hex. */
  readonly id: string
  readonly kind: 'rows' | 'tables'
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
