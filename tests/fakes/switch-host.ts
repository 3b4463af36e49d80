import { z } from 'zod'
import { startSwitch, type SwitchThread } from '../../packages/gateway/src/switch/switch-thread.ts'

/**
 * A gate's process as its kill switch sees it: `switch-host.ts DIRECTORY LEASE_MS WHAT`. It says what it is told to stop. `looks`: its event loop is
 * busy for good, and it looks at the switch as it would before each write. `stuck`: it is busy and looks at nothing. `idle`: it waits.
 */
const [directory, leaseMs, what] = z
  .tuple([z.string(), z.coerce.number(), z.enum(['looks', 'stuck', 'idle'])])
  .parse(process.argv.slice(2))

/** What has been stopped so far. */
const stops: string[] = []
const thread: SwitchThread = await startSwitch({
  directory,
  leaseMs,
  token: 'b'.repeat(64),
  nowMs: () => Date.now(),
  stop: ({ kind, name, by }) => {
    stops.push(kind)
    process.stdout.write(`stopped ${kind} ${name} by ${by}\n`)
    return 2
  },
  write: async () => 7,
  deaf: (reason) => void process.stdout.write(`deaf ${reason}\n`),
  report: () => undefined,
})
// What was said is out before this thread is busy.
await new Promise<void>((resolve) => void process.stdout.write('ready\n', () => resolve()))
if (what === 'stuck') for (;;);
if (what === 'looks') while (stops.length === 0) thread.hear()
process.stdin.resume().on('end', () => process.exit(0))
