import { join } from 'node:path'
import { bundledPrograms, bundleVariable, type BundledProgram } from '../../tools/bundled-programs.ts'
import { projectRoot } from '../../tools/source-tree.ts'

/** The file to start a program of ours from: in a whole run of the tests one that was made of its sources, which starts in half the time. */
export function findProgram(wanted: BundledProgram): string {
  const folder = process.env[bundleVariable]
  if (folder !== undefined) return join(folder, `${wanted}.js`)
  const program = bundledPrograms.find(({ name }) => name === wanted)
  return join(projectRoot, program?.source ?? '')
}
