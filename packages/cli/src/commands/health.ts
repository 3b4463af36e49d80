import { Command } from 'commander'
import { z } from 'zod'
import { CommandFailure, exitCodes } from '../failure.ts'

const optionsShape = z.object({ url: z.string(), ready: z.boolean().default(false), timeout: z.coerce.number().default(4) })
const readyShape = z.object({ ready: z.boolean(), problems: z.array(z.string().max(64)).max(32) })

/** For probes: asks the gate's own listener for metrics, and no other. Prints a word, and its exit code says the same. */
export function makeCommand(): Command {
  return new Command('health')
    .description('Asks a gate on this machine whether it answers, or with --ready whether agents should be sent to it.')
    .requiredOption('--url <url>', 'where listen.metrics of sallyport.yaml has it, such as http://127.0.0.1:6490')
    .option('--ready', 'ask whether it can work: log, store, vault, and not about to stop')
    .option('--timeout <seconds>', 'how long it may take (default: 4)')
    .addHelpText('after', '\nExit codes:\n  0  it is\n  1  it answers that it is not ready, and why\n  3  it does not answer')
    .action(async (given: unknown) => ask(optionsShape.parse(given)))
}

async function ask({ url, ready, timeout }: z.infer<typeof optionsShape>): Promise<void> {
  const base = URL.parse(url)
  if (base === null || base.protocol !== 'http:') throw failure(exitCodes.usage, `${JSON.stringify(url)} is no http address.`)
  let answer: { readonly status: number; readonly text: string }
  try {
    const response = await fetch(new URL(ready ? '/readyz' : '/healthz', base), {
      signal: AbortSignal.timeout(timeout * 1000),
      redirect: 'error',
    })
    answer = { status: response.status, text: await response.text() }
  } catch {
    throw failure(exitCodes.unreachable, `No gate answers at ${base.origin}.`)
  }
  if (!ready && answer.status === 200) return void process.stdout.write('ok\n')
  const said = readyShape.safeParse(parse(answer.text))
  if (answer.status === 200 && said.success && said.data.ready) return void process.stdout.write('ready\n')
  throw failure(exitCodes.failed, said.success ? `It is not ready: ${said.data.problems.join(', ')}.` : 'That is no gate.')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function failure(code: 1 | 2 | 3, what: string): CommandFailure {
  return new CommandFailure(code, 'not_healthy', what, 'Nothing was changed.', 'Look at the gate\u2019s own messages.')
}
