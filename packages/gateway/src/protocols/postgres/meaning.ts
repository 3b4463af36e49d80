import { canonicalJson } from '@sallyport/core'
import { z } from 'zod'
import { KeyWriter } from './fold.ts'
import type { GateChannel } from './gate-channel.ts'

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

const readSettings = `SELECT ${settingNames.map((name) => `pg_catalog.current_setting('${name}')`).join(', ')}, current_user, session_user, \
(SELECT pg_catalog.json_agg(p.name) FROM pg_catalog.pg_prepared_statements p WHERE NOT p.from_sql)`

const names = z.array(z.string()).nullable()

/** What the session's text means just now: settings as the server told them, and the key prefix that follows from them. */
export class Meaning {
  settings: { readonly [name: string]: string } = {}
  /** Grows whenever keys made before no longer hold. */
  epoch = 0
  keys: KeyWriter
  #about: string
  #session: string
  #generation = 0

  constructor(upstream: string, identity: string, agent: string, session: string) {
    this.#about = canonicalJson([upstream, identity, agent])
    this.#session = session
    this.keys = new KeyWriter('')
  }

  /** What names mean may have changed for this session in a way no setting shows (a temporary view): its keys are its own from now on. */
  separate(): void {
    this.#generation += 1
  }

  /** Asks the server; gives the names of statements it holds from Parse. */
  async refresh(channel: GateChannel): Promise<ReadonlySet<string>> {
    const [row] = await channel.query(readSettings)
    const values = row ?? []
    const settings: { [name: string]: string } = {}
    settingNames.forEach((name, index) => (settings[name] = values[index] ?? ''))
    settings['current_user'] = values[settingNames.length] ?? ''
    settings['session_user'] = values[settingNames.length + 1] ?? ''
    this.settings = settings
    const own = this.#generation === 0 ? null : [this.#session, this.#generation]
    this.keys = new KeyWriter(`${this.#about}${canonicalJson([settings, own])}\0`)
    this.epoch += 1
    const listed = values[settingNames.length + 2]
    return new Set(names.parse(listed === null || listed === undefined ? null : JSON.parse(listed)) ?? [])
  }
}
