import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, chmodSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { findBinaries } from '../../packages/cli/src/playground/binaries.ts'
import { findPostgresBinaries } from './postgres.ts'

/** Programs of the PostgreSQL that a proof is to run against. */
interface ServerVersion {
  readonly name: string
  readonly binaries: string
  /** Takes away what was copied for it. */
  remove(): void
}

/** `--server 18` chooses the server that npm brings; without it, the machine's own. The rest of the words are the program's. */
export function chooseServer(): ServerVersion & { readonly words: readonly string[] } {
  const { values, positionals } = parseArgs({
    options: { server: { type: 'string' } },
    allowPositionals: true,
    strict: false,
  })
  const wanted = typeof values.server === 'string' ? values.server : null
  return { ...(wanted === null ? installedServer() : embeddedServer(wanted)), words: positionals }
}

function installedServer(): ServerVersion {
  const binaries = findPostgresBinaries()
  return { name: versionOf(binaries), binaries, remove: () => undefined }
}

/** PostgreSQL as npm brings it. It runs as the same user as the machine's own does, from a place where that user can read it. */
export function embeddedServer(wanted: string): ServerVersion {
  const folder = mkdtempSync(join(tmpdir(), 'sp-embedded-'))
  chmodSync(folder, 0o755)
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres']).toString())
  const user = process.getuid?.() === 0 ? { uid: id('-u'), gid: id('-g') } : null
  const binaries = join(findBinaries(user, join(folder, 'native')).postgres, '..')
  const name = versionOf(binaries)
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  if (name.split('.')[0] === wanted) return { name, binaries, remove }
  remove()
  throw new Error(`npm brings PostgreSQL ${name}, not ${wanted}`)
}

function versionOf(binaries: string): string {
  const said = execFileSync(join(binaries, 'postgres'), ['--version']).toString()
  return /\d+(\.\d+)?/.exec(said)?.[0] ?? said.trim()
}
