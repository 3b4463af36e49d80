import { accessSync, constants, existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { runCommand } from './command.ts'

/** A program that tests start, and the Debian package it is in. */
interface Program {
  readonly name: string
  readonly debianPackage: string
  /** Servers are not on PATH in Debian: they lie in a folder a version. */
  readonly versionedFolder?: string
  /** Does as well where it is there, only slower. */
  readonly instead?: string
}

export const neededPrograms: readonly Program[] = [
  { name: 'git', debianPackage: 'git' },
  { name: 'psql', debianPackage: 'postgresql-client' },
  { name: 'pgbench', debianPackage: 'postgresql' },
  { name: 'initdb', debianPackage: 'postgresql', versionedFolder: '/usr/lib/postgresql' },
  { name: 'postgres', debianPackage: 'postgresql', versionedFolder: '/usr/lib/postgresql' },
  { name: 'systemd-analyze', debianPackage: 'systemd' },
  { name: 'pgbouncer', debianPackage: 'pgbouncer' },
  // The browser without windows: it starts, and draws, for half the work.
  { name: 'chromium-headless-shell', debianPackage: 'chromium-headless-shell', instead: 'chromium' },
  { name: 'radosgw', debianPackage: 'radosgw' },
  { name: 'ceph-mon', debianPackage: 'ceph-mon' },
  { name: 'ceph-osd', debianPackage: 'ceph-osd' },
  { name: 'radosgw-admin', debianPackage: 'ceph-common' },
  { name: 'osdmaptool', debianPackage: 'ceph-base' },
]

/** Started by `npm run bench:vault` alone: tests do without. */
export const benchPrograms: readonly Program[] = [{ name: 'restic', debianPackage: 'restic' }]

/** Without any font the browser draws pages without a letter. Inter is what pages ask for first; signs that it lacks are in the other. */
const fontPackages = ['fonts-dejavu-core', 'fonts-inter']

/** Debian keeps servers (pgbouncer) where only root's PATH looks. */
export function pathOfPrograms(): string {
  return [process.env['PATH'] ?? '', '/usr/local/sbin', '/usr/sbin'].join(delimiter)
}

export function findMissingPrograms(programs: readonly Program[], path: string): readonly Program[] {
  return programs.filter(
    (program) =>
      !foldersOf(program, path).some((folder) =>
        [program.name, program.instead ?? program.name].some((name) => isProgram(join(folder, name))),
      ),
  )
}

/** The one line that installs what is missing. */
export function installLine(missing: readonly Program[]): string {
  const packages = new Set(missing.map((program) => program.debianPackage))
  if (packages.has('chromium-headless-shell')) for (const font of fontPackages) packages.add(font)
  return `apt-get update && apt-get install -y --no-install-recommends ${[...packages].toSorted().join(' ')}`
}

export interface Preparation {
  readonly ready: boolean
  /** What to print: what was done, or what is missing and the line that mends it. */
  readonly sentence: string
}

/** Installs the missing programs when we may; else says what a person must run. */
export async function prepareMachine(print: (line: string) => void): Promise<Preparation> {
  const path = pathOfPrograms()
  const missing = findMissingPrograms(neededPrograms, path)
  if (missing.length === 0) return { ready: true, sentence: `${neededPrograms.length} programs that tests need are here` }
  const names = missing.map((program) => program.name).join(', ')
  const line = installLine(missing)
  if (process.getuid?.() !== 0 || findMissingPrograms([{ name: 'apt-get', debianPackage: 'apt' }], path).length > 0) {
    return { ready: false, sentence: `Tests need ${names}, which this machine lacks. Nothing was run. As root: ${line}` }
  }
  print(`installing what tests need (${names}): ${line}`)
  const result = await runCommand('sh', ['-c', line.replaceAll('apt-get', 'apt-get -q -o DPkg::Lock::Timeout=120')], {
    cwd: '/',
    timeoutMs: 300_000,
    environment: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  const still = findMissingPrograms(neededPrograms, path).map((program) => program.name)
  if (result.code === 0 && still.length === 0) return { ready: true, sentence: `installed ${names}` }
  const end = `${result.stdout}${result.stderr}`.trimEnd().split('\n').slice(-15).join('\n')
  return {
    ready: false,
    sentence: `${end}\nTests need ${still.join(', ')}, and installing them failed. Nothing was run. Try: ${line}`,
  }
}

function foldersOf(program: Program, path: string): readonly string[] {
  if (program.versionedFolder === undefined) return path.split(delimiter).filter((folder) => folder !== '')
  const root = program.versionedFolder
  return existsSync(root) ? readdirSync(root).map((version) => join(root, version, 'bin')) : []
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
