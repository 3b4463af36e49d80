import { findDifferences } from '../conformance/postgres-wire/compare.ts'
import { startPair } from '../conformance/postgres-wire/pair.ts'
import { scenarios } from '../conformance/postgres-wire/scenarios.ts'

const wanted = process.argv[2]
const chosen = wanted === undefined ? scenarios : scenarios.filter(({ name }) => name.includes(wanted))
const pair = await startPair({
  environment: process.env['SALLYPORT_ENVIRONMENT'] === 'production' ? 'production' : 'development',
})
try {
  const t = performance.now()
  if (process.env['SHOW'] !== undefined)
    for (const one of chosen)
      process.stdout.write(`${one.name}\n${(await pair.gated.play(one)).map((line) => `   ${line.slice(0, 300)}\n`).join('')}`)
  const differences = await findDifferences(pair, chosen, ({ scenario, direct, gated }) => {
    process.stdout.write(`\n## ${scenario}\n`)
    const max = Math.max(direct.length, gated.length)
    let shown = 0
    for (let i = 0; i < max && shown < 4; i += 1) {
      if (direct[i] === gated[i]) continue
      shown += 1
      process.stdout.write(`  - ${direct[i]?.slice(0, 400)}\n  + ${gated[i]?.slice(0, 400)}\n`)
    }
  })
  process.stdout.write(`${chosen.length} scenarios, ${differences.length} differ, ${performance.now() - t} ms\n`)
} finally {
  process.stdout.write((await import('node:fs')).readFileSync(pair.gate.directory + '/logs/gate.log', 'utf8'))
  await pair.stop()
}
