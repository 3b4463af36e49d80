import { prepareMachine } from './machine.ts'
import { projectRoot } from './source-tree.ts'
import { staticSteps } from './static-steps.ts'
import { runSteps } from './step.ts'
import { runTests } from './test-run.ts'

// `npm test [-- PATH…]`: makes the machine ready, then runs the static checks beside every test. The last line is the count, for machines to read.
const print = (line: string): void => console.log(line)

function finish(passed: number, failed: number): never {
  print(`${passed} passed, ${failed} failed`)
  process.exit(failed === 0 && passed > 0 ? 0 : 1)
}

const preparation = await prepareMachine(print)
print(preparation.sentence)
if (!preparation.ready) finish(0, 1)
const paths = process.argv.slice(2)
// One check at a time beside the tests, which leave a processor idle now and then: what they wait for is not always work.
const checks = paths.length > 0 ? [] : staticSteps(projectRoot)
const [tally, run] = await Promise.all([runSteps(checks, print, 1), runTests(projectRoot, paths)])
for (const fault of run.faults) print(`FAIL tests: ${fault}`)
if (tally.failed.length > 0) print(`FAIL checks: ${tally.failed.join(', ')} (npm run check -- --no-tests shows them alone)`)
print(`tests: ${run.passed} passed, ${run.failed} failed; checks: ${tally.passed} passed, ${tally.failed.length} failed`)
finish(run.passed + tally.passed, run.failed + tally.failed.length + run.faults.length)
