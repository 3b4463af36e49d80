import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { findMemoryFolder } from './memory-folder.ts'

/** Names a folder for what is made once in a run of the tests and copied by each file that needs it, and for the copies. */
const variable = 'SALLYPORT_TEST_TEMPLATES'

/** vitest calls this once before all files, and what it returns after them. */
export function setup(): () => void {
  const folder = join(findMemoryFolder(), `sallyport-run-${randomBytes(4).toString('hex')}`)
  process.env[variable] = folder
  return () => rmSync(folder, { recursive: true, force: true, maxRetries: 20 })
}

/** The folder, which whoever is first makes. Null outside of a run of the tests: everything is made anew. */
export function openTemplateFolder(): string | null {
  const folder = process.env[variable]
  if (folder === undefined) return null
  mkdirSync(folder, { recursive: true })
  // Servers run as another user than root.
  chmodSync(folder, 0o711)
  return folder
}
