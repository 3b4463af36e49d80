import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { closeParsers, parserFaults } from '../../packages/connectors/src/postgres/describe.ts'
import { properties } from './properties.ts'

/**
 * `npm run prove:fuzz [-- --runs 200000 --seed N --only NAME --path P]`: inputs to the describer, judged by an oracle that shares nothing with it. A
 * failure prints what replays it.
 */
const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '220000' },
    seed: { type: 'string' },
    only: { type: 'string' },
    path: { type: 'string' },
  },
})
const seed = Number(values.seed ?? Date.now() % 2 ** 31)
const wanted = properties.filter(({ name }) => values.only === undefined || name === values.only)
console.log(`seed ${seed}`)
let failed = false
let total = 0
const startedMs = performance.now()
for (const { name, share, property } of wanted) {
  const count = Math.ceil(Number(values.runs) * share)
  const path = values.path === undefined ? {} : { path: values.path }
  const result = await fc.check(property(), { seed, numRuns: count, ...path })
  total += result.numRuns
  console.log(`${name}: ${result.numRuns} inputs, ${result.failed ? 'FAILED' : 'held'}`)
  if (!result.failed) continue
  failed = true
  console.log(`${JSON.stringify(result.counterexample)}\n${String(result.errorInstance)}`)
  console.log(`again: npm run prove:fuzz -- --seed ${seed} --only '${name}' --path ${result.counterexamplePath ?? ''}`)
}
const cpu = process.cpuUsage()
console.log(
  `figure: ${failed ? 'FAILED: ' : ''}${total} inputs in ${((performance.now() - startedMs) / 1_000).toFixed(0)} s, ${((cpu.user + cpu.system) / 1e6).toFixed(0)} s of CPU; the parser was replaced ${parserFaults()} times`,
)
await closeParsers()
process.exitCode = failed ? 1 : 0
