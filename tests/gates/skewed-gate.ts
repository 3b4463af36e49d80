import { startGate } from '../../packages/gateway/src/main.ts'
import { runProcess } from '../../packages/gateway/src/process.ts'

/** A gate on a machine whose clock is `skewMs` off. All that ships asks `Date.now`; its own threads have clocks of their own. */
export async function runSkewed(skewMs: number): Promise<void> {
  const { now } = Date
  Date.now = () => now() + skewMs
  await runProcess(process.argv.slice(2), startGate)
}
