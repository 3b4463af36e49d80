import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { GovernPorts } from '@sallyport/core'
import { startGate } from '../../packages/gateway/src/main.ts'
import { runProcess } from '../../packages/gateway/src/process.ts'

/**
 * A real gate whose thread hangs for good, in the middle of a turn, as soon as an agent asks with one of these words in a comment; right before, it
 * makes the file `hangs` in its state. One keeps a processor busy meanwhile, the other waits for what never comes.
 */
const words = { busy: 'hang the gate', waiting: 'block the gate' }

function hanging(ports: GovernPorts, directory: string): GovernPorts {
  return {
    ...ports,
    connectors: new Map(
      [...ports.connectors].map(([id, connector]) => [
        id,
        {
          ...connector,
          describe: async (decoded, ask) => {
            const text = JSON.stringify(decoded)
            if (Object.values(words).some((word) => text.includes(word))) writeFileSync(join(directory, 'hangs'), '')
            if (text.includes(words.waiting)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
            if (text.includes(words.busy)) for (;;);
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
