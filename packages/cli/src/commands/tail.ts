import { visibleLine } from '@sallyport/core'
import { Command, InvalidArgumentError } from 'commander'
import { z } from 'zod'
import { connectControl } from '../control-client.ts'
import { stateOption } from '../state-directory.ts'

const optionsShape = z.object({
  after: z.number().optional(),
  follow: z.boolean().default(true),
  state: z.string(),
  json: z.boolean().default(false),
})

const eventShape = z.object({
  index: z.number(),
  type: z.string(),
  atMs: z.number(),
  session: z.string().optional(),
  agent: z.string().optional(),
  data: z.record(z.string(), z.unknown()),
})
const lineShape = z.union([eventShape, z.object({ skipped: z.number() })])
type Line = z.infer<typeof lineShape>

export function makeCommand(): Command {
  return new Command('tail')
    .description('Operations as they happen: the newest events of the log, then each new one, until Ctrl-C.')
    .option('--after <index>', 'only events past this place on the log', parseIndex)
    .option('--no-follow', 'print what there is and end')
    .addOption(stateOption())
    .option('--json', 'one JSON object a line, as on the log, with its index')
    .action(async (given: unknown) => tail(optionsShape.parse(given)))
}

async function tail(options: z.infer<typeof optionsShape>): Promise<void> {
  const control = await connectControl(options.state)
  const query = new URLSearchParams({
    ...(options.follow ? { follow: '1' } : {}),
    ...(options.after === undefined ? {} : { after: String(options.after) }),
  })
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  for await (const line of control.stream(`/api/v1/events?${query.toString()}`, lineShape, stop.signal)) {
    process.stdout.write(options.json ? `${JSON.stringify(line)}\n` : `${describeLine(line)}\n`)
  }
}

/** One line an event. What an agent wrote can't move the cursor. */
export function describeLine(line: Line): string {
  if ('skipped' in line) return `… ${line.skipped} events came too fast to show; they are on the log`
  const facts = Object.entries(line.data).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  const who = [line.agent, line.session].filter((part) => part !== undefined).join(' ')
  return visibleLine(
    `${String(line.index).padStart(6)}  ${new Date(line.atMs).toISOString()}  ${line.type.padEnd(16)}  ${[who, ...facts].filter((part) => part !== '').join('  ')}`,
  )
}

function parseIndex(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('A place on the log is a whole number.')
  return Number(text)
}
