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
/** In doubt it is asked again sooner, and yet not without end: whoever makes the gate doubt all the time has this share of one connection at most. */
const doubtAfterDurations = 5

/**
 * Whether the catalog is still what it was, by asking the server from time to time, only while somebody wants to know. What it gives is made of
 * what is in the catalog: the same again only for the same catalog, whoever watches and whenever.
 */
export class CatalogWatch implements CatalogEpoch {
  readonly #ask: () => Promise<string>
  readonly #nowMs: () => number
  /** Goes on while the machine sleeps, which the monotonic clock does not; and may be set, which that one can't. */
  readonly #wallMs: () => number
  #epoch = ''
  /** What the epoch was made of, but for the server's settings: the same for everybody who sees this catalog. */
  #catalog = ''
  /** When the server was asked what it answered last: whatever was committed before is in the answer. */
  #knownMs = -Infinity
  #knownWallMs = -Infinity
  #nextMs = -Infinity
  doubts = 0
  /** When the server was last asked, and how long it took. */
  #askedMs = -Infinity
  #tookMs = 0
  #asking: Promise<void> | null = null

  constructor(
    ask: () => Promise<string>,
    nowMs: () => number = () => performance.now(),
    wallMs: () => number = () => Date.now(),
  ) {
    this.#ask = ask
    this.#nowMs = nowMs
    this.#wallMs = wallMs
  }

  epoch(): string | null {
    const nowMs = this.#nowMs()
    if (nowMs >= this.#nextMs && this.#asking === null) void this.confirm()
    const wallMs = this.#wallMs() - this.#knownWallMs
    return nowMs - this.#knownMs <= holdsMs && wallMs >= 0 && wallMs <= holdsMs ? this.#epoch : null
  }

  doubt(): void {
    this.doubts += 1
    this.#knownMs = -Infinity
    this.#nextMs = Math.min(this.#nextMs, this.#askedMs + this.#tookMs * doubtAfterDurations)
  }

  async isSeenBy(epoch: string, ask: (sql: string) => Promise<string | null>): Promise<boolean> {
    if (this.epoch() !== epoch) return false
    const seen = await ask(fingerprintSql)
    return seen !== null && this.epoch() === epoch && catalogOf(seen) === this.#catalog
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
    const startedWallMs = this.#wallMs()
    const { doubts } = this
    this.#nextMs = startedMs + askAfterMs
    this.#askedMs = startedMs
    try {
      const fingerprint = await this.#ask()
      this.#tookMs = this.#nowMs() - startedMs
      // Doubted meanwhile: the answer may be from before what was doubted.
      if (doubts !== this.doubts) return
      this.#epoch = sha256Hex(fingerprint).slice(0, 32)
      this.#catalog = catalogOf(fingerprint)
      this.#knownMs = startedMs
      this.#knownWallMs = startedWallMs
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

/** Between what everybody sees alike and when the server's settings were read, which each process of it does at a time of its own. */
const separator = ' settings '

/** Settings differ from session to session. */
function catalogOf(fingerprint: string): string {
  return fingerprint.split(separator)[0] ?? ''
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
  'pg_opclass',
  'pg_amproc',
  'pg_amop',
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

/** Operators and casts are named with their schema: an agent's own session is asked this too, whose search_path is the agent's. */
const plus = 'OPERATOR(pg_catalog.+)'
const minus = 'OPERATOR(pg_catalog.-)'
const times = 'OPERATOR(pg_catalog.*)'

// A row that is written anew has another place and another transaction; frozen rows keep theirs.
const rowHash = `pg_catalog.hashint8extended((c.xmin::pg_catalog.text::pg_catalog.int8 ${minus} 2147483648::pg_catalog.int8) \
${times} 4294967296::pg_catalog.int8 ${plus} pg_catalog.hashtid(c.ctid)::pg_catalog.int8, 0::pg_catalog.int8)`
const fingerprintOf = (catalog: string, where = ''): string =>
  `(SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(${rowHash})) FROM pg_catalog.${catalog} c${where})`
/** Which functions belong to an extension, and so are not read: ALTER EXTENSION writes nothing else. */
const members = fingerprintOf('pg_depend', ` WHERE c.deptype OPERATOR(pg_catalog.=) 'e'::pg_catalog."char"`)
/** As a number: a date is printed in the style and time zone of whoever asks. */
const microseconds = (time: string): string =>
  `(pg_catalog.date_part('epoch', ${time}) ${times} 1000000::pg_catalog.float8)::pg_catalog.int8`
const roles = `SELECT pg_catalog.sum(pg_catalog.hashtextextended(ROW(r.oid, r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, \
r.rolcreatedb, r.rolcanlogin, r.rolreplication, r.rolbypassrls, r.rolconfig)::pg_catalog.text, \
0::pg_catalog.int8)) FROM pg_catalog.pg_roles r`

/**
 * One text that is another one after any change of the catalog, after a restart, and after the server read its settings again, which changes
 * those of open sessions too (search_path, session_replication_role). hashtid is in PostgreSQL since 14: on older ones nothing is known.
 */
export const fingerprintSql = `SELECT pg_catalog.concat(pg_catalog.concat_ws(' ', ${microseconds('pg_catalog.pg_postmaster_start_time()')}, \
${catalogs.map((catalog) => fingerprintOf(catalog)).join(', ')}, ${members}, (${roles})), '${separator}', ${microseconds('pg_catalog.pg_conf_load_time()')})`
