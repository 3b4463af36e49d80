import type { GovernPorts } from '@sallyport/core'
import { startGate } from '../../packages/gateway/src/main.ts'
import { runProcess } from '../../packages/gateway/src/process.ts'

/** A real gate whose thread hangs for good, in the middle of a turn, as soon as an agent asks with these words in a comment. */
const words = 'hang the gate'

function hanging(ports: GovernPorts): GovernPorts {
  return {
    ...ports,
    connectors: new Map(
      [...ports.connectors].map(([id, connector]) => [
        id,
        {
          ...connector,
          describe: async (decoded, ask) => {
            if (JSON.stringify(decoded).includes(words)) for (;;);
            return connector.describe(decoded, ask)
          },
        },
      ]),
    ),
  }
}

await runProcess(process.argv.slice(2), (options) => startGate({ ...options, decorate: hanging }))
