import { execFile } from 'node:child_process'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { findServerPrograms, reachServerProgram } from './scratch-server-binaries.ts'
import type { ScratchPlace } from './scratch-server.ts'

/** What of a database is fixed when its cluster is made. */
export interface ClusterLocale {
  readonly encoding: string
  readonly collate: string
  readonly ctype: string
  /** Set where ICU orders text. */
  readonly icu: string | null
}

const initTimeoutMs = 120_000

/**
 * Makes an empty cluster in `place`, whose superuser is `postgres`. Where this machine lacks the locale, text is ordered by bytes instead: that
 * changes no row, and what was asked for is said.
 * @returns the locale that was missing, or null
 */
export async function makeScratchCluster(place: ScratchPlace, major: number, locale: ClusterLocale): Promise<string | null> {
  const programs = await findServerPrograms(major)
  if (programs === null) throw new Error(`this machine has no programs of PostgreSQL ${major} to start a scratch server with`)
  const initdb = join(dirname(reachServerProgram(programs, join(place.folder, 'programs'), place.owner)), 'initdb')
  const icu = locale.icu === null ? [] : ['--locale-provider=icu', `--icu-locale=${locale.icu}`]
  const wanted = [`--lc-collate=${locale.collate}`, `--lc-ctype=${locale.ctype}`, ...icu]
  try {
    await initialize(initdb, place, [`--encoding=${locale.encoding}`, ...wanted])
    return null
  } catch (error) {
    if (!/invalid locale|locale name|ICU/i.test(sayReason(error))) throw error
    await initialize(initdb, place, [`--encoding=${locale.encoding}`, '--no-locale'])
    return locale.icu ?? locale.collate
  }
}

async function initialize(initdb: string, { data, owner }: ScratchPlace, flags: readonly string[]): Promise<void> {
  const words = [`--pgdata=${data}`, '--username=postgres', '--auth=trust', '--no-sync', '--lc-messages=C', ...flags]
  try {
    await promisify(execFile)(initdb, words, {
      ...(owner === null ? {} : { uid: owner.uid, gid: owner.gid }),
      cwd: '/',
      timeout: initTimeoutMs,
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    })
  } catch (error) {
    throw new Error(`initdb failed: ${sayReason(error)}`, { cause: error })
  }
}

function sayReason(error: unknown): string {
  if (!(error instanceof Error)) return 'without a message'
  const said = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr : error.message
  return said.trim().slice(0, 300)
}
