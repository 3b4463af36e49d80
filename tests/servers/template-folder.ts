import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Names a folder for what is made once in a run of the tests and copied by each file that needs it. Where it is not set, everything is made anew. */
export const templateVariable = 'SALLYPORT_TEST_TEMPLATES'

/** vitest calls this once before all files, and what it returns after them. The folder is filled by whoever needs something of it first. */
export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-templates-'))
  // Servers run as another user than root.
  chmodSync(folder, 0o711)
  process.env[templateVariable] = folder
  return () => rmSync(folder, { recursive: true, force: true })
}
