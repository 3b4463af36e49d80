import { Command } from 'commander'
import { z } from 'zod'
import { copiedShape, paths } from '../control-api.ts'
import { connectControl, longAnswerTimeoutMs } from '../control-client.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { stateOption } from '../state-directory.ts'

const optionsShape = z.object({ state: z.string(), json: z.boolean().default(false) })
type Options = z.infer<typeof optionsShape>

export function makeCommand(): Command {
  return new Command('copy')
    .description(
      'Has the gate make a proven copy now, as it would before the thing is destroyed: locked, copied into the vault, started from the copy, compared. Nothing is destroyed. Writes wait while it is made.',
    )
    .argument('<upstream>', 'a cloud upstream, as sallyport.yaml calls it')
    .argument('<thing>', 'what to copy: volume:ID, tied to its database in sallyport.yaml')
    .addOption(stateOption())
    .option('--json', 'one JSON object: the snapshot')
    .action(async (upstream: string, thing: string, given: unknown) => copy(upstream, thing, optionsShape.parse(given)))
}

async function copy(upstream: string, thing: string, options: Options): Promise<void> {
  const [, type, id] = /^([a-z]{1,32}):([A-Za-z0-9_-]{1,128})$/.exec(thing) ?? []
  if (type === undefined || id === undefined) {
    throw new CommandFailure(
      exitCodes.usage,
      'bad_argument',
      `"${thing}" is not written like volume:ID.`,
      'Nothing was copied.',
      'Name the volume by its id: sallyport copy cloud volume:0f7c3a52-6c1e-4d0b-9f0e-5d7c2a9b1e44',
    )
  }
  const control = await connectControl(options.state)
  const startedMs = performance.now()
  const made = await control.post(paths.copies, { upstream, type, id }, copiedShape, longAnswerTimeoutMs)
  if (options.json) {
    process.stdout.write(`${JSON.stringify(made)}\n`)
    return
  }
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  const tables = Object.keys(made.checksums).length
  process.stdout.write(
    `Copied and compared in ${seconds} s: ${made.rows.toLocaleString('en')} rows in ${tables} tables, ${made.bytes.toLocaleString('en')} bytes, kept until ${new Date(made.retainUntilMs).toISOString()}.\nSnapshot ${made.id}\n`,
  )
}
