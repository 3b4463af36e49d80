import { canonicalJson, keepCanonical, SallyportError, sha256Hex, type Operation, type SqlRow } from '@sallyport/core'
import { z } from 'zod'
import { KeyWriter } from './fold.ts'
import type { GateChannel } from './gate-channel.ts'
import type { CatalogEpoch } from './upstreams.ts'

/** Settings that change what SQL means or how its literals are read. */
const settingNames = [
  'search_path',
  'session_replication_role',
  'row_security',
  'standard_conforming_strings',
  'backslash_quote',
  'transform_null_equals',
  'array_nulls',
  'xmloption',
  'datestyle',
  'intervalstyle',
  'timezone',
  'default_transaction_read_only',
] as const

/** What a session asks before anything else. */
export const readSettings = `SELECT ${settingNames.map((name) => `pg_catalog.current_setting('${name}')`).join(', ')}, current_user, session_user, \
pg_catalog.pg_my_temp_schema()::text, \
(SELECT pg_catalog.json_agg(p.name) FROM pg_catalog.pg_prepared_statements p WHERE NOT p.from_sql), \
pg_catalog.current_setting('client_encoding')`

const names = z.array(z.string()).nullable()

/** Parameters of its own that one session may set, and how long the name of one may be. */
const ownSettingsMax = 64
const ownNameLengthMax = 128
const ownNames = z.array(z.string()).catch([])

interface Settings {
  /** Parameters of the application's own. */
  readonly own: readonly string[]
  readonly any: boolean
}

/** By identity: those of a plain statement come back with each time that it runs. */
const settingsKnown = new WeakMap<readonly Operation[], Settings>()

/** Which parameters of its own a statement sets, and whether it sets any at all. */
export function settingsOf(operations: readonly Operation[]): Settings {
  const known = settingsKnown.get(operations)
  if (known !== undefined) return known
  const settings = {
    own: operations.flatMap(({ context }) => ownNames.parse(context['ownSettings'] ?? [])),
    any: operations.some(({ context }) => context['changesSession'] === true),
  }
  settingsKnown.set(operations, settings)
  return settings
}

/** The same with standard_conforming_strings on and off. */
function literal(text: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}

/** Keys begin with one of these: whether the catalog is named in them. */
const catalogNamed = 'c'
const catalogUnknown = 'u'

export function namesCatalog(key: string): boolean {
  return key.startsWith(catalogNamed)
}

/** What the session's text means just now: settings as the server told them, the catalog, and the key prefix that follows from them. */
export class Meaning {
  settings: { readonly [name: string]: string } = {}
  #keys = new KeyWriter('')
  #epoch = 0
  #about: string
  #session: string
  #watch: CatalogEpoch
  #catalog: string | null = null
  /** What other sessions of the gate may have changed before keys were made that name no catalog. */
  #doubts = 0
  /** The catalog that was known when the session was last asked whether it has temporary objects. */
  #checked: string | null = null
  /** Settings and generation as they are in keys. */
  #state = ''
  #generation = 0
  /** Parameters of its own that were set by now: what reads them, policies say, means something else with another value. */
  readonly #own = new Set<string>()

  constructor(upstream: string, identity: string, agent: string, session: string, watch: CatalogEpoch) {
    this.#about = canonicalJson([upstream, identity, agent])
    this.#session = session
    this.#watch = watch
  }

  /** Grows whenever keys made before no longer hold. */
  get epoch(): number {
    this.#followCatalog()
    return this.#epoch
  }

  /**
   * The catalog is another one than when the session was last asked about itself: a temporary object of its own, made by a trigger say, may
   * stand before what a shared key names.
   */
  get unsure(): boolean {
    this.#followCatalog()
    return this.#catalog !== null && this.#catalog !== this.#checked
  }

  get keys(): KeyWriter {
    this.#followCatalog()
    return this.#keys
  }

  #followCatalog(): void {
    const catalog = this.#watch.epoch()
    if (catalog === this.#catalog && (catalog !== null || this.#doubts === this.#watch.doubts)) return
    this.#catalog = catalog
    this.#makeKeys()
  }

  #makeKeys(): void {
    this.#doubts = this.#watch.doubts
    const kind = this.#catalog === null ? catalogUnknown : catalogNamed
    // Its hash, since every statement's key begins with it and is compared by it.
    this.#keys = new KeyWriter(`${kind}${sha256Hex(`${this.#catalog ?? this.#doubts}\0${this.#about}\0${this.#state}`)}`)
    this.#epoch += 1
  }

  /** Whether this very session sees the catalog that its keys name just now. */
  async isCatalogSeen(channel: GateChannel): Promise<boolean> {
    const catalog = this.#catalog
    if (catalog === null) return true
    const seen = await this.#watch.isSeenBy(catalog, async (sql) => (await channel.query(sql))[0]?.[0] ?? null)
    return seen && this.#catalog === catalog
  }

  /** What names mean may have changed for this session in a way no setting shows (a temporary view): its keys are its own from now on. */
  separate(): void {
    this.#generation += 1
  }

  /** From now on their values are part of what a text means. */
  follow(own: readonly string[]): void {
    for (const name of own) this.#own.add(name)
  }

  /** Not what they are, which may be a secret: which value of it a verdict is about. */
  #readOwn(values: readonly (string | null)[]): { readonly [name: string]: string } {
    const told = [...this.#own].map((name, index) => [name, values[index] ?? null] as const)
    return Object.fromEntries(told.flatMap(([name, value]) => (value === null ? [] : [[name, `sha256:${sha256Hex(value)}`]])))
  }

  #checkOwn(): void {
    if (this.#own.size <= ownSettingsMax && [...this.#own].every((name) => name.length <= ownNameLengthMax)) return
    throw new SallyportError(
      'too_large',
      `This session has set more than ${ownSettingsMax} parameters of its own, or one with a name of more than ${ownNameLengthMax} characters.`,
      'The statement was not run.',
      'Connect again, and set fewer.',
    )
  }

  /**
   * Asks the server, unless it was `told` right before; gives the names of statements it holds from Parse. Null when text would be read otherwise here than there: in the middle of
   * a batch no ParameterStatus has told it yet.
   */
  async refresh(channel: GateChannel, told: SqlRow | null): Promise<ReadonlySet<string> | null> {
    const catalog = this.#watch.epoch()
    this.#checkOwn()
    const own = [...this.#own].map((name) => `, pg_catalog.current_setting(${literal(name)}, true)`).join('')
    const [row] = told === null ? await channel.query(`${readSettings}${own}`) : [told]
    const values = row ?? []
    const settings: { [name: string]: string } = {}
    settingNames.forEach((name, index) => (settings[name] = values[index] ?? ''))
    settings['current_user'] = values[settingNames.length] ?? ''
    settings['session_user'] = values[settingNames.length + 1] ?? ''
    Object.assign(settings, this.#readOwn(values.slice(settingNames.length + 5)))
    this.settings = keepCanonical(settings)
    const hasTemporary = values[settingNames.length + 2] !== '0'
    const ofSession = this.#generation === 0 && !hasTemporary ? null : [this.#session, this.#generation]
    this.#state = canonicalJson([settings, ofSession])
    this.#checked = catalog
    this.#catalog = this.#watch.epoch()
    this.#makeKeys()
    if (settings['standard_conforming_strings'] !== 'on' || values[settingNames.length + 4] !== 'UTF8') return null
    const listed = values[settingNames.length + 3]
    return new Set(names.parse(listed === null || listed === undefined ? null : JSON.parse(listed)) ?? [])
  }
}
