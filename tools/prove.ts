import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describeProof, findProofs, runProof } from './proofs.ts'
import { projectRoot } from './source-tree.ts'

// `npm run prove [-- NAME…]`: every `prove:…` of package.json, one after another, since most of them measure.
const all = findProofs(readFileSync(join(projectRoot, 'package.json'), 'utf8'))
const wanted = process.argv.slice(2).map((name) => `prove:${name}`)
const unknown = wanted.filter((name) => !all.includes(name))
if (unknown.length > 0) {
  console.log(`There is no ${unknown.join(', ')}; there are ${all.join(', ')}`)
  process.exit(2)
}
const names = wanted.length === 0 ? all : wanted
let failed = 0
for (const name of names) {
  const proof = await runProof(projectRoot, name)
  if (!proof.held) failed += 1
  console.log(describeProof(proof))
}
console.log(`${names.length - failed} of ${names.length} proofs held`)
process.exit(failed === 0 && names.length > 0 ? 0 : 1)
