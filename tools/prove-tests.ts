import { prepareMachine } from './machine.ts'
import { projectRoot } from './source-tree.ts'
import { runTests } from './test-run.ts'

// `npm run prove:tests [-- PATH…]`: the long proofs, which `npm test` leaves out. Longest first, like every run.
const print = (line: string): void => console.log(line)
const preparation = await prepareMachine(print)
print(preparation.sentence)
if (!preparation.ready) process.exit(1)
const run = await runTests(projectRoot, process.argv.slice(2), 'long')
for (const fault of run.faults) print(`FAIL tests: ${fault}`)
print(`figure: ${run.passed} long proofs passed, ${run.failed} failed`)
process.exit(run.failed === 0 && run.faults.length === 0 ? 0 : 1)
