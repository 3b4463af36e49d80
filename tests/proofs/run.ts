import { parseArgs } from 'node:util'
import { FalseProofs } from './false-proofs.ts'

/** `npm run prove:proofs [-- --tries 1000000 --seed 1]`: exit 0 only when no false proof was accepted. Prints its figures as JSON. */
const { values } = parseArgs({
  options: { tries: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } },
})
const wanted = Number(values.tries)
if (!Number.isInteger(wanted) || wanted < 1) throw new RangeError('--tries takes a whole number from 1')
const startedMs = performance.now()
const proofs = await FalseProofs.prepare(Number(values.seed))
while (proofs.tried.tries < wanted) await proofs.tryOnce()
const seconds = Math.round((performance.now() - startedMs) / 100) / 10
process.stdout.write(`${JSON.stringify({ ...proofs.tried, seconds }, null, 2)}\n`)
process.exitCode = proofs.tried.accepted.length === 0 ? 0 : 1
