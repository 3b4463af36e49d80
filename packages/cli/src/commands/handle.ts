import { Command } from 'commander'
import { z } from 'zod'
import { issuedShape, paths } from '../control-api.ts'
import { connectControl } from '../control-client.ts'
import { parseDuration } from '../duration.ts'
import { agentAuthorityFile, stateOption } from '../state-directory.ts'
import { makeExchangeCommand } from '../handle-exchange.ts'
import { makeListCommand, makeRotateCommand } from '../handle-list.ts'
import { makeNarrowCommand } from '../handle-narrowing.ts'
import { splitAddress } from '../welcome.ts'

const issueShape = z.object({
  ttl: z.number().optional(),
  upstream: z.string().default('UPSTREAM'),
  state: z.string(),
  json: z.boolean().default(false),
})
const revokeShape = z.object({ state: z.string(), json: z.boolean().default(false) })

export function makeCommand(): Command {
  const command = new Command('handle').description(
    'Handles: the short-lived secrets agents authenticate with. Useless anywhere but at the gate.',
  )
  command
    .command('issue')
    .description('Issues a handle and prints it, this once: the gate keeps only what it needs to recognise it.')
    .argument('<agent>', 'an agent of the configuration')
    .option('--ttl <duration>', 'how long it lives, such as 30m; never longer than the configuration allows', parseDuration)
    .option('--upstream <name>', 'put into the lines to paste')
    .addOption(stateOption())
    .option('--json', 'one JSON object: id, agent, handle, expiresAt, url, proxyUrl')
    .action(async (agent: string, given: unknown) => issue(agent, issueShape.parse(given)))
  command
    .command('revoke')
    .description('Ends a handle, and all that were narrowed from it, now.')
    .argument('<id>', 'as `handle issue` printed it')
    .addOption(stateOption())
    .option('--json', 'one JSON object: id, revoked')
    .action(async (id: string, given: unknown) => revoke(id, revokeShape.parse(given)))
  command.addCommand(makeListCommand())
  command.addCommand(makeRotateCommand())
  command.addCommand(makeNarrowCommand())
  command.addCommand(makeExchangeCommand())
  return command
}

async function issue(agent: string, options: z.infer<typeof issueShape>): Promise<void> {
  const control = await connectControl(options.state)
  const body = { agent, ...(options.ttl === undefined ? {} : { ttlMs: options.ttl }) }
  const issued = await control.post(paths.handles, body, issuedShape)
  const expiresAt = new Date(issued.expiresAtMs).toISOString()
  const { host, port } = splitAddress(control.run.postgresAddress)
  const url = `postgres://${agent}:${issued.handle}@${control.run.postgresAddress}/${options.upstream}`
  const { httpAddress } = control.run
  const proxyUrl = httpAddress === undefined ? null : `http://${agent}:${issued.handle}@${httpAddress}`
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ id: issued.id, agent, handle: issued.handle, expiresAt, url, proxyUrl })}\n`)
    return
  }
  process.stdout.write(
    [
      `Handle ${issued.id} for ${agent}, until ${expiresAt}. It is shown only here:`,
      '',
      `  ${issued.handle}`,
      '',
      'To use it:',
      `  PGPASSWORD=${issued.handle} psql "host=${host} port=${port} user=${agent} dbname=${options.upstream}"`,
      ...(proxyUrl === null
        ? []
        : [`  HTTPS_PROXY=${proxyUrl} CURL_CA_BUNDLE=${agentAuthorityFile(options.state)} curl https://…`]),
      '',
      `To end it before its time: sallyport handle revoke ${issued.id}`,
      '',
    ].join('\n'),
  )
}

async function revoke(id: string, options: z.infer<typeof revokeShape>): Promise<void> {
  const control = await connectControl(options.state)
  await control.post(paths.revokeHandle(id), {}, z.unknown())
  process.stdout.write(
    options.json ? `${JSON.stringify({ id, revoked: true })}\n` : `Handle ${id} and all narrowed from it are ended.\n`,
  )
}
