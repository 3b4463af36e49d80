import { parseArgs } from 'node:util'
import { seeded } from '../proofs/seeded.ts'
import { killOften } from './killed-log.ts'
import { cutOften } from './power-cuts.ts'

/** `npm run prove:log [-- --kills 200 --cuts 1500 --seed 1]`: exit 0 only when nothing acknowledged or signed was lost. Prints its figures as JSON. */
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    cuts: { type: 'string', default: '1500' },
    seed: { type: 'string', default: '1' },
  },
})
const chance = seeded(Number(values.seed))
const powerLoss = await cutOften(Number(values.cuts), chance)
const killed = await killOften(Number(values.kills), chance)
process.stdout.write(`${JSON.stringify({ seed: Number(values.seed), powerLoss, killed }, null, 2)}\n`)
process.exitCode = powerLoss.lost.length + killed.lost.length === 0 ? 0 : 1
