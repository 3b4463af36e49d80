import { parseArgs } from 'node:util'
import { judgeHalts, measureHalts } from '../gates/halt.ts'
import { killAtOneGate } from './one-gate.ts'

/**
 * `node tests/kill/run.ts --gates 3 --runs 30`: kills a runaway agent so often, each time another one, at one gate or over three; from sending the kill
 * to the last byte that relays of their own processes saw. One JSON document; exit 0 only when no byte came late.
 */
const { values } = parseArgs({ options: { runs: { type: 'string', default: '100' }, gates: { type: 'string', default: '1' } } })
const wanted = Number(values.runs)
if (!Number.isInteger(wanted) || wanted < 1 || wanted > 1000) throw new RangeError('--runs takes a whole number from 1 to 1000')
if (values.gates !== '1' && values.gates !== '3') throw new RangeError('--gates takes 1 or 3')

async function killOverThree(): Promise<boolean> {
  const { figures, sentence, isWell } = judgeHalts(await measureHalts(wanted))
  process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`)
  process.stderr.write(`figure: ${sentence}`)
  return isWell
}

process.exitCode = (values.gates === '1' ? await killAtOneGate(wanted) : await killOverThree()) ? 0 : 1
