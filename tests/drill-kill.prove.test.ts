import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { z } from 'zod'

const run = promisify(execFile)
const launcher = new URL('../packages/cli/bin/sallyport.js', import.meta.url).pathname
const resultShape = z.object({
  runs: z.number(),
  haltMs: z.object({ p50: z.number(), p99: z.number(), max: z.number() }),
  acknowledgedMs: z.object({ p50: z.number(), p99: z.number(), max: z.number() }),
  bytesAfterAcknowledgement: z.number(),
  loadStatements: z.number(),
})

it('drill kill: no byte of a canary after its acknowledgement, with the times it took', async () => {
  const { stdout } = await run(process.execPath, [launcher, 'drill', 'kill', '--runs', '3', '--json'], { timeout: 170_000 })
  const result = resultShape.parse(JSON.parse(stdout))
  expect(result).toMatchObject({ runs: 3, bytesAfterAcknowledgement: 0 })
  expect(result.loadStatements).toBeGreaterThan(0)
  expect(result.acknowledgedMs.p50).toBeGreaterThan(0)
}, 180_000)
