import { Command } from 'commander'
import { z } from 'zod'
import { paths } from './control-api.ts'
import { connectControl } from './control-client.ts'
import { parseDuration } from './duration.ts'
import { stateOption } from './state-directory.ts'

const listShape = z.object({ state: z.string(), json: z.boolean().default(false) })
const rotateShape = z.object({ overlap: z.number().optional(), state: z.string(), json: z.boolean().default(false) })

const handlesShape = z.object({
  handles: z.array(
    z.object({
      id: z.string(),
      agent: z.string(),
      owner: z.string(),
      parent: z.string().nullable(),
      act: z.array(z.string()),
      scopes: z.array(z.string()),
      issuedAtMs: z.number(),
      expiresAtMs: z.number(),
      lastUsedAtMs: z.number().nullable(),
      openSessions: z.number(),
    }),
  ),
})
type Listed = z.infer<typeof handlesShape>['handles'][number]

const rotatedShape = z.object({ id: z.string(), handle: z.string(), expiresAtMs: z.number(), oldEndsAtMs: z.number() })

export function makeListCommand(): Command {
  return new Command('list')
    .description('The handles that are in force: whose they are, what they may, when they end and when they were last used.')
    .addOption(stateOption())
    .option('--json', 'one JSON object: handles')
    .action(async (given: unknown) => list(listShape.parse(given)))
}

export function makeRotateCommand(): Command {
  return new Command('rotate')
    .description(
      'Gives a handle a new secret and prints it, this once. The old one ends soon after, with all that was narrowed from it.',
    )
    .argument('<id>', 'as `handle issue` and `handle list` print it')
    .option(
      '--overlap <duration>',
      'how long the old secret works yet, such as 5m (that, if not said); an hour at most',
      parseDuration,
    )
    .addOption(stateOption())
    .option('--json', 'one JSON object: id, handle, expiresAt, oldEndsAt')
    .action(async (id: string, given: unknown) => rotate(id, rotateShape.parse(given)))
}

async function list(options: z.infer<typeof listShape>): Promise<void> {
  const control = await connectControl(options.state)
  const { handles } = await control.get(paths.handles, handlesShape)
  if (options.json) process.stdout.write(`${JSON.stringify({ handles })}\n`)
  else
    process.stdout.write(handles.length === 0 ? 'No handle is in force.\n' : handles.map((one) => `${sayHandle(one)}\n`).join(''))
}

function sayHandle({ id, agent, owner, act, scopes, expiresAtMs, lastUsedAtMs, openSessions }: Listed): string {
  const who = act.length > 1 ? act.join(' → ') : agent
  const used = lastUsedAtMs === null ? 'not used since the gate started' : `last used ${new Date(lastUsedAtMs).toISOString()}`
  const open = openSessions === 0 ? '' : `, ${openSessions} open now`
  return `${id}  ${who}, for ${owner}: ${scopes.join(', ') || 'nothing'}\n    until ${new Date(expiresAtMs).toISOString()}, ${used}${open}`
}

async function rotate(id: string, options: z.infer<typeof rotateShape>): Promise<void> {
  const control = await connectControl(options.state)
  const body = options.overlap === undefined ? {} : { overlapMs: options.overlap }
  const made = await control.post(paths.rotateHandle(id), body, rotatedShape)
  const [expiresAt, oldEndsAt] = [made.expiresAtMs, made.oldEndsAtMs].map((atMs) => new Date(atMs).toISOString())
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ id: made.id, handle: made.handle, expiresAt, oldEndsAt })}\n`
      : `Handle ${made.id}, until ${expiresAt}, as the old one was. It is shown only here:\n\n  ${made.handle}\n\nThe old secret, and all that was narrowed from it, ends at ${oldEndsAt}.\n`,
  )
}
