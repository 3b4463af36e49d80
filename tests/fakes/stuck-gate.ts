import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { GovernPorts } from '@sallyport/core'
import { startGate } from '../../packages/gateway/src/main.ts'
import { runProcess } from '../../packages/gateway/src/process.ts'

/** A real gate whose thread hangs for good, in the middle of a turn, as soon as an agent asks with these words in a comment; right before, it makes the file `hangs` in its state. */
const words = 'hang the gate'

function hanging(ports: GovernPorts, directory: string): GovernPorts {
  return {
    ...ports,
    connectors: new Map(
      [...ports.connectors].map(([id, connector]) => [
        id,
        {
          ...connector,
          describe: async (decoded, ask) => {
            if (JSON.stringify(decoded).includes(words)) {
              writeFileSync(join(directory, 'hangs'), '')
              for (;;);
            }
            return connector.describe(decoded, ask)
          },
        },
      ]),
    ),
  }
}

await runProcess(process.argv.slice(2), (options) =>
  startGate({ ...options, decorate: (ports) => hanging(ports, options.stateDirectory) }),
)
