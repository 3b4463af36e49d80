import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { completeLockfile } from './lockfile.ts'
import { projectRoot } from './source-tree.ts'

// `node tools/run.js complete-lockfile`, after every change of dependencies: adds what npm left out of package-lock.json.
const file = join(projectRoot, 'package-lock.json')
writeFileSync(file, completeLockfile(readFileSync(file, 'utf8')))
console.log('package-lock.json names every optional package now')
