import { frugalMemory } from '../../packages/cli/src/compiled-code.ts'
import { shippedPrograms } from '../../packages/cli/src/up.ts'
import { startGate } from '../../tests/servers/gate.ts'
import type { PostgresServer } from '../../tests/servers/postgres.ts'
import { memoryMib } from './path.ts'

/** A gate that nobody uses, started as `sallyport up` starts it, once compiled code is kept: from the start of its process until it says that it is ready, and what it holds resident a while later. */
export interface Idle {
  readonly readyMs: number
  readonly residentMib: number
}

/** Long enough for what is warmed up behind the ready line to be over. */
const restMs = 5_000

export async function measureIdle(postgres: PostgresServer, times: number): Promise<readonly Idle[]> {
  const gate = await startGate({ postgres, gatewayProgram: shippedPrograms.gateway, environment: frugalMemory })
  const measured: Idle[] = []
  try {
    for (let time = 0; time < times; time += 1) {
      await gate.halt()
      const startedMs = performance.now()
      await gate.start()
      const readyMs = performance.now() - startedMs
      await new Promise((resolve) => setTimeout(resolve, restMs))
      measured.push({ readyMs, residentMib: memoryMib(gate.process.pid).now })
    }
  } finally {
    await gate.stop()
  }
  return measured
}
