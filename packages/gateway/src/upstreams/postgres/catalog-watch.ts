import { sha256Hex } from '@sallyport/core'
import type { CatalogEpoch } from '../../protocols/postgres/upstreams.ts'

/** What the gate knows of the catalog is believed for so long after the server was asked: the longest that somebody else's DDL stays unseen. */
const holdsMs = 2_000
/** Asked again this long after the last time it was asked, when somebody wants to know; later where asking takes long. */
const askAfterMs = 700
const askAfterDurations = 20
/** Up to here it stays known all the time; a catalog that takes longer to look over than `longMs` is known part of the time. */
const askAfterMaxMs = 1_400
const longMs = 200

/**
 * Whether the catalog is still what it was, by asking the server from time to time, only while somebody wants to know. What it gives is made of
 * what is in the catalog: the same again only for the same catalog, whoever watches and whenever.
 */
export class CatalogWatch implements CatalogEpoch {
  readonly #ask: () => Promise<string>
  readonly #nowMs: () => number
  #epoch = ''
  /** When the server was asked what it answered last: whatever was committed before is in the answer. */
  #knownMs = -Infinity
  #nextMs = -Infinity
  #doubts = 0
  #asking: Promise<void> | null = null

  constructor(ask: () => Promise<string>, nowMs: () => number = () => performance.now()) {
    this.#ask = ask
    this.#nowMs = nowMs
  }

  epoch(): string | null {
    const nowMs = this.#nowMs()
    if (nowMs >= this.#nextMs && this.#asking === null) void this.confirm()
    return nowMs - this.#knownMs <= holdsMs ? this.#epoch : null
  }

  doubt(): void {
    this.#doubts += 1
    this.#knownMs = -Infinity
    this.#nextMs = -Infinity
  }

  /** Asks now. Never rejects: what can't be asked is not known. */
  confirm(): Promise<void> {
    this.#asking ??= this.#confirm().finally(() => {
      this.#asking = null
    })
    return this.#asking
  }

  async #confirm(): Promise<void> {
    const startedMs = this.#nowMs()
    const doubts = this.#doubts
    this.#nextMs = startedMs + askAfterMs
    try {
      const fingerprint = await this.#ask()
      // Doubted meanwhile: the answer may be from before what was doubted.
      if (doubts !== this.#doubts) return
      this.#epoch = sha256Hex(fingerprint).slice(0, 32)
      this.#knownMs = startedMs
      this.#nextMs = startedMs + pauseAfter(this.#nowMs() - startedMs)
    } catch {
      this.#knownMs = -Infinity
    }
  }
}

function pauseAfter(tookMs: number): number {
  const pauseMs = Math.max(askAfterMs, tookMs * askAfterDurations)
  return tookMs > longMs ? pauseMs : Math.min(askAfterMaxMs, pauseMs)
}

/** Everything that says what a name means or what runs when a table is written. */
const catalogs = [
  'pg_class',
  'pg_attribute',
  'pg_attrdef',
  'pg_index',
  'pg_constraint',
  'pg_trigger',
  'pg_event_trigger',
  'pg_rewrite',
  'pg_policy',
  'pg_proc',
  'pg_aggregate',
  'pg_operator',
  'pg_cast',
  'pg_type',
  'pg_enum',
  'pg_range',
  'pg_inherits',
  'pg_partitioned_table',
  'pg_foreign_table',
  'pg_namespace',
  'pg_extension',
  'pg_language',
  'pg_auth_members',
] as const

// A row that is written anew has another place and another transaction; frozen rows keep theirs..
const rowHash =
  'pg_catalog.hashint8extended((c.xmin::text::pg_catalog.int8 - 2147483648) * 4294967296 + pg_catalog.hashtid(c.ctid), 0)'
const fingerprintOf = (catalog: string): string =>
  `(SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(${rowHash})) FROM pg_catalog.${catalog} c)`

/** One text that is another one after any change of the catalog, and after a restart. hashtid is in PostgreSQL since 14: on older ones nothing is known. */
export const fingerprintSql = `SELECT pg_catalog.concat_ws(' ', pg_catalog.pg_postmaster_start_time(), ${catalogs.map(fingerprintOf).join(', ')}, \
(SELECT pg_catalog.sum(pg_catalog.hashtextextended(r::text, 0)) FROM pg_catalog.pg_roles r))`
