import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isRecord, parseRecord, type JsonRecord } from './json.ts'
import type { StepResult } from './step.ts'

/** Words in the names of platform packages, and what npm calls them in `os` and `cpu`. */
const systems = new Map(
  ['darwin', 'linux', 'win32', 'android', 'freebsd', 'netbsd', 'openbsd', 'openharmony', 'aix', 'sunos'].map((name) => [
    name,
    name,
  ]),
).set('windows', 'win32')
const processors = new Set(['arm64', 'x64', 'arm', 'ia32', 'ppc64', 's390x', 'riscv64', 'loong64', 'wasm32'])

interface Gap {
  readonly name: string
  readonly version: string
  readonly dev: boolean
}

/**
 * Optional packages (programs for other platforms) that the lockfile does not mention. npm leaves out what its registry does not have, and then
 * `npm ci` refuses the lockfile that npm wrote: https://github.com/npm/cli/issues/9846
 */
function findGaps(lock: JsonRecord): readonly Gap[] {
  const packages = isRecord(lock.packages) ? lock.packages : {}
  const names = new Set(Object.keys(packages).map((key) => key.slice(key.lastIndexOf('node_modules/') + 'node_modules/'.length)))
  return Object.values(packages)
    .filter(isRecord)
    .flatMap((each) =>
      Object.entries(isRecord(each.optionalDependencies) ? each.optionalDependencies : {})
        .filter(([name]) => !names.has(name))
        .map(([name, range]) => ({ name, version: String(range).replace(/^[~^]/, ''), dev: each.dev === true })),
    )
}

export function findLockfileGaps(root: string): StepResult {
  const gaps = findGaps(parseRecord(readFileSync(join(root, 'package-lock.json'), 'utf8')))
  const list = gaps.map(({ name }) => name).join(', ')
  return {
    findings:
      gaps.length === 0
        ? []
        : [`npm ci will refuse package-lock.json, which lacks ${list}\nRun: node tools/run.js complete-lockfile`],
    summary: 'package-lock.json',
  }
}

/** The lockfile with an entry for each gap. What the registry does not have has no checksum either; its version is exact. */
export function completeLockfile(text: string): string {
  const lock = parseRecord(text)
  const packages = isRecord(lock.packages) ? lock.packages : {}
  const added = findGaps(lock).map(({ name, version, dev }): readonly [string, JsonRecord] => {
    const words = name.split(/[-/@]/)
    const os = words.flatMap((word) => systems.get(word) ?? [])
    const cpu = words.filter((word) => processors.has(word))
    const entry = {
      version,
      ...(cpu.length > 0 ? { cpu } : {}),
      ...(dev ? { dev } : {}),
      optional: true,
      ...(os.length > 0 ? { os } : {}),
    }
    return [`node_modules/${name}`, entry]
  })
  const sorted = [...Object.entries(packages), ...added].toSorted(([left], [right]) => left.localeCompare(right, 'en'))
  return `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`
}
