import { createHash } from 'node:crypto'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { builtFolder, builtShape } from '../src/built.ts'

export const packageFolder = fileURLToPath(new URL('..', import.meta.url))

/** Everything that the app is made of: its own sources, those of core, and the libraries by the lockfile. */
export function hashSources(): string {
  const root = join(packageFolder, '..', '..')
  const files = globSync(['packages/console/{src,build}/**/*.{ts,tsx,css}', 'packages/core/src/**/*.ts'], { cwd: root })
    .filter((file) => !file.endsWith('.test.ts'))
    .toSorted()
  const hash = createHash('sha256')
  for (const file of [...files, 'package-lock.json', 'packages/console/package.json']) {
    const path = join(root, file)
    hash
      .update(`${file}\0`)
      .update(existsSync(path) ? readFileSync(path) : '')
      .update('\0')
  }
  return hash.digest('hex')
}

/** Whether what lies there was made from these very sources. */
export function isBuilt(): boolean {
  const list = new URL('built.json', builtFolder)
  if (!existsSync(list)) return false
  const read = builtShape.safeParse(JSON.parse(readFileSync(list, 'utf8')))
  return read.success && read.data.sourcesSha256 === hashSources()
}
