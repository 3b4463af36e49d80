import { dirname, resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { z } from 'zod'
import {
  addEntry,
  namesUnder,
  openConfigurationFile,
  protocolOf,
  saveConfigurationFile,
  writeCredential,
  type ConfigurationFile,
} from '../configuration-file.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { makeProvisionCommand } from '../provision/command.ts'
import { describeCredential, takeCredential, takeToken } from '../upstream-credential.ts'

const optionsShape = z.object({
  from: z.string().optional(),
  protectFrom: z.string().optional(),
  environment: z.enum(['production', 'staging', 'development']),
  connector: z.string().optional(),
  host: z.array(z.string()).default([]),
  graphql: z.array(z.string()).default([]),
  tie: z.array(z.object({ kind: z.string(), id: z.string(), upstream: z.string() })).default([]),
  config: z.string(),
  json: z.boolean().default(false),
})
type Options = z.infer<typeof optionsShape>
type Ties = Options['tie']

export function makeCommand(): Command {
  const command = new Command('upstream').description('The real systems behind the gate.')
  command
    .command('add')
    .description(
      'Adds a database: its URL comes on standard input or by reference, is tried once, and goes to a 0600 file, never into the configuration. ' +
        'With --connector adds a cloud’s API: its token comes the same way, and is not tried.',
    )
    .argument('<name>', 'what agents call it')
    .option('--from <reference>', 'env:NAME, file:PATH or exec:COMMAND instead of standard input')
    .option('--protect-from <reference>', 'a second credential, for copies only (default: the same one)')
    .addOption(
      new Option('--environment <name>', 'what it is').choices(['production', 'staging', 'development']).default('production'),
    )
    .option('--connector <name>', 'whose API it is: railway')
    .option('--host <name>', 'a host of that API; again for another', collect)
    .option('--graphql <path>', 'a path of it that speaks GraphQL; again for another', collect)
    .option('--tie <kind:id=upstream>', 'which database lies on a thing of it; again for another', collectTie)
    .option('--config <file>', 'the configuration to change', 'sallyport.yaml')
    .option('--json', 'one JSON object: config, upstream, survey or hosts, inForce')
    .addHelpText('after', example)
    .action(async (name: string, given: unknown) => {
      const options = optionsShape.parse(given)
      await (options.connector === undefined ? addDatabase(name, options) : addApi(name, options, options.connector))
    })
  command.addCommand(makeProvisionCommand())
  return command
}

const example = `
Example:
  printenv RAILWAY_TOKEN | sallyport upstream add cloud --connector railway \\
    --host backboard.railway.com --graphql /graphql/v2 --tie volume:VOLUME_ID=orders-db`

function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

function collectTie(text: string, before: Ties = []): Ties {
  const [, kind, id, upstream] = /^([A-Za-z]{1,40}):([A-Za-z0-9_-]{1,128})=([A-Za-z0-9_.-]{1,63})$/.exec(text) ?? []
  if (kind === undefined || id === undefined || upstream === undefined)
    throw new InvalidArgumentError('Written like volume:VOLUME_ID=NAME_OF_A_DATABASE.')
  return [...before, { kind, id, upstream }]
}

async function addDatabase(name: string, options: Options): Promise<void> {
  if (options.host.length + options.graphql.length + options.tie.length > 0)
    throw refuse('--host, --graphql and --tie are for a cloud’s API.', 'Name the API with --connector.')
  const path = resolve(options.config)
  // Once to refuse before anything is asked for, once more on the file as it is by then.
  addEntry(openConfigurationFile(path), 'upstreams', name, {})
  const use = await takeCredential(options.from, dirname(path))
  const protect = options.protectFrom === undefined ? use : await takeCredential(options.protectFrom, dirname(path))
  const file = openConfigurationFile(path)
  addEntry(file, 'upstreams', name, {
    protocol: 'postgres',
    environment: options.environment,
    use: use.reference ?? writeCredential(path, name, 'use', use.database.url),
    protect: protect.reference ?? writeCredential(path, name, 'protect', protect.database.url),
  })
  saveConfigurationFile(file)
  if (options.json) {
    process.stdout.write(
      `${JSON.stringify({ config: path, upstream: name, survey: { use: use.survey, protect: protect.survey }, inForce: false })}\n`,
    )
    return
  }
  process.stdout.write(describeCredential(use, 'use'))
  if (protect !== use) process.stdout.write(describeCredential(protect, 'protect'))
  sayAdded(name, options)
}

async function addApi(name: string, options: Options, connector: string): Promise<void> {
  if (options.host.length === 0) throw refuse(`No host of ${name} was named.`, 'Name it with --host.')
  await requireHttpConnector(connector)
  const path = resolve(options.config)
  const before = openConfigurationFile(path)
  addEntry(before, 'upstreams', name, {})
  requireDatabases(before, options.tie)
  const use = await takeToken(options.from, dirname(path))
  const protect = options.protectFrom === undefined ? null : await takeToken(options.protectFrom, dirname(path))
  const file = openConfigurationFile(path)
  addEntry(file, 'upstreams', name, {
    protocol: 'http',
    connector,
    environment: options.environment,
    hosts: options.host,
    ...(options.graphql.length === 0 ? {} : { graphql: options.graphql }),
    use: use.reference ?? writeCredential(path, name, 'use', use.token),
    ...(protect === null ? {} : { protect: protect.reference ?? writeCredential(path, name, 'protect', protect.token) }),
    ...(options.tie.length === 0 ? {} : { tied: groupTies(options.tie) }),
  })
  saveConfigurationFile(file)
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ config: path, upstream: name, hosts: options.host, inForce: false })}\n`)
    return
  }
  sayAdded(name, options)
}

async function requireHttpConnector(id: string): Promise<void> {
  const { connectors } = await import('@sallyport/connectors')
  const known = connectors.filter(({ protocol }) => protocol === 'http').map((connector) => connector.id)
  if (!known.includes(id)) throw refuse(`No connector reads the API of "${id}".`, `There are: ${known.join(', ')}.`)
}

/** A volume tied to nothing that can be copied would let itself be deleted without its copy; the gate would not start on it either. */
function requireDatabases(file: ConfigurationFile, ties: Ties): void {
  const databases = namesUnder(file, 'upstreams').filter((upstream) => protocolOf(file, upstream) === 'postgres')
  const stranger = ties.find(({ upstream }) => !databases.includes(upstream))
  if (stranger === undefined) return
  const next = `Add that database first: sallyport upstream add ${stranger.upstream}`
  throw refuse(`No database of this configuration is called "${stranger.upstream}".`, next)
}

function groupTies(ties: Ties): Readonly<Record<string, Readonly<Record<string, string>>>> {
  const kinds = [...new Set(ties.map(({ kind }) => kind))]
  const of = (kind: string): readonly (readonly [string, string])[] =>
    ties.filter((tie) => tie.kind === kind).map(({ id, upstream }) => [id, upstream])
  return Object.fromEntries(kinds.map((kind) => [kind, Object.fromEntries(of(kind))]))
}

function sayAdded(name: string, options: Options): void {
  process.stdout.write(
    `Added ${name} to ${options.config}. No agent may do anything there yet; a running gate takes it up when people accepted it (sallyport propose) and it is started again.\n`,
  )
  process.stdout.write(`Next: sallyport agent add NAME --owner YOU --may 'read ${name}'\n`)
}

function refuse(what: string, next: string): CommandFailure {
  return new CommandFailure(exitCodes.usage, 'usage', what, 'Nothing was changed.', next)
}
