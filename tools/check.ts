import { findMissingPrograms, installLine, neededPrograms, pathOfPrograms } from './machine.ts'
import { projectRoot } from './source-tree.ts'
import { staticSteps } from './static-steps.ts'
import { runSteps } from './step.ts'
import { runTests } from './test-run.ts'

// `npm run check [-- --no-tests]`: everything that must hold before a change is offered.
const print = (line: string): void => console.log(line)
const unknown = process.argv.slice(2).filter((word) => word !== '--no-tests')
if (unknown.length > 0) {
  print(`There is no option ${unknown.join(' ')}; usage: npm run check [-- --no-tests]`)
  process.exit(2)
}
const { passed, failed } = await runSteps(staticSteps(projectRoot), print)
const failures = [...failed]
if (!process.argv.includes('--no-tests')) {
  const missing = findMissingPrograms(neededPrograms, pathOfPrograms())
  if (missing.length > 0)
    print(`FAIL tests: ${missing.map((program) => program.name).join(', ')} missing. As root: ${installLine(missing)}`)
  const run = missing.length > 0 ? { passed: 0, failed: 0, faults: ['programs missing'] } : await runTests(projectRoot, [])
  for (const fault of run.faults) print(`FAIL tests: ${fault}`)
  if (run.failed > 0 || run.faults.length > 0) failures.push(`tests (${run.passed} passed, ${run.failed} failed)`)
}
print(failures.length === 0 ? `all checks passed (${passed} static)` : `failed: ${failures.join(', ')}`)
process.exit(failures.length === 0 ? 0 : 1)
