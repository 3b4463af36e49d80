import { findDifferences, isRefused } from '../conformance/postgres-wire/compare.ts'
import { pairServerSettings, startPair } from '../conformance/postgres-wire/pair.ts'
import { refusedByGate } from '../conformance/postgres-wire/refused.ts'
import { scenarios } from '../conformance/postgres-wire/scenarios.ts'
import { startPostgres } from '../servers/postgres.ts'
import { chooseServer } from '../servers/server-version.ts'

/**
 * `node tests/faithful/run.ts [--server 18] [words]`: plays every scenario (whose name has these words) both ways. Exit 0 only when no byte differs but
 * where it is said to.
 */
const server = chooseServer()
const words = server.words.join(' ')
const chosen = scenarios.filter(({ name }) => name.includes(words))
const postgres = await startPostgres(pairServerSettings, server.binaries)
const pair = await startPair({ postgres })
try {
  const startMs = performance.now()
  const differences = await findDifferences(pair, chosen)
  const unexpected = differences.filter((difference) => !refusedByGate.has(difference.scenario) || !isRefused(difference))
  for (const { scenario, direct, gated } of unexpected)
    process.stdout.write(
      `${scenario}\n  straight: ${direct.join('\n            ')}\n  gated:    ${gated.join('\n            ')}\n`,
    )
  const refused = differences.length - unexpected.length
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
  process.stdout.write(
    `figure: PostgreSQL ${server.name}: ${chosen.length} scenarios in ${seconds} s: ${chosen.length - differences.length} answered alike, ${refused} refused as listed, ${unexpected.length} differ\n`,
  )
  process.exitCode = unexpected.length === 0 ? 0 : 1
} finally {
  await pair.stop()
  await postgres.stop()
  server.remove()
}
