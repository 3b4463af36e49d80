import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { z } from 'zod'
import { requireName, writeCredential } from '../configuration-file.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { writePrivateFile } from '../state-directory.ts'
import { describeCredential, takeCredential, type HandedCredential } from '../upstream-credential.ts'

const optionsShape = z.object({
  from: z.string().optional(),
  protectFrom: z.string().optional(),
  name: z.string().optional(),
  environment: z.enum(['production', 'staging', 'development']),
  agent: z.string(),
  owner: z.string().optional(),
  config: z.string(),
  json: z.boolean().default(false),
})
type Options = z.infer<typeof optionsShape>

export function makeCommand(): Command {
  return new Command('init')
    .description(
      'Takes a database URL on standard input (or by reference), looks at the database, and writes sallyport.yaml with the credential kept apart.',
    )
    .option('--from <reference>', 'env:NAME, file:PATH or exec:COMMAND instead of standard input')
    .option('--protect-from <reference>', 'a second credential, for copies only (default: the same one)')
    .option('--name <name>', 'what the upstream is called from now on (default: the database’s name)')
    .addOption(
      new Option('--environment <name>', 'what it is').choices(['production', 'staging', 'development']).default('production'),
    )
    .option('--agent <name>', 'the first agent', 'coder')
    .option('--owner <name>', 'whom that agent acts for (default: you)')
    .option('--config <file>', 'the file to write', 'sallyport.yaml')
    .option('--json', 'one JSON object: config, upstream, survey')
    .addHelpText('after', '\nExample:\n  printenv DATABASE_URL | sallyport init --name orders-db')
    .action(async (given: unknown) => initialise(optionsShape.parse(given)))
}

async function initialise(options: Options): Promise<void> {
  const path = resolve(options.config)
  refuseToOverwrite(path)
  const folder = dirname(path)
  const use = await takeCredential(options.from, folder)
  const protect = options.protectFrom === undefined ? use : await takeCredential(options.protectFrom, folder)
  const name = options.name ?? nameFrom(use.database.database)
  const owner = options.owner ?? nameFrom(userInfo().username)
  for (const word of [name, owner, options.agent]) requireName(word)
  refuseToOverwrite(path)
  const references = {
    use: use.reference ?? writeCredential(path, name, 'use', use.database.url),
    protect: protect.reference ?? writeCredential(path, name, 'protect', protect.database.url),
  }
  writePrivateFile(
    path,
    describeConfiguration({ name, owner, agent: options.agent, environment: options.environment, ...references }),
  )
  const ignored = ignoreSecrets(folder)
  report(options, path, name, use, protect, ignored)
}

function refuseToOverwrite(path: string): void {
  if (!existsSync(path)) return
  throw new CommandFailure(
    exitCodes.usage,
    'exists',
    `${path} is there already.`,
    'Nothing was written.',
    'Add a database to it with `sallyport upstream add`, or write another file with --config.',
  )
}

function nameFrom(text: string): string {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9_.-]/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 63)
  return name === '' ? 'database' : name
}

interface Content {
  readonly name: string
  readonly environment: string
  readonly use: string
  readonly protect: string
  readonly agent: string
  readonly owner: string
}

/** References go in as JSON strings, which YAML reads as they are. */
function describeConfiguration({ name, environment, use, protect, agent, owner }: Content): string {
  return `# What this gate stands before, and who may do what. \`sallyport doctor\` checks it.
version: 1
mode: solo                        # or team: an owner never approves alone
people: []                        # for people to read; they enrol by link and passkey
listen:
  postgres: 127.0.0.1:6432        # for agents
  control: localhost:6480         # for people
upstreams:
  ${name}:
    protocol: postgres
    environment: ${environment}
    use: ${JSON.stringify(use)}
    protect: ${JSON.stringify(protect)}
agents:
  ${agent}:
    owner: ${owner}
    may:                          # read, write, disrupt, escalate, destroy, any, or an action such as postgres.drop_table
      - read ${name}
      - write ${name}
    handles:
      ttl: 8h
limits:
  rowsWithoutPrompt: 1000         # rows changed in an hour, by owner and upstream, before a person is asked
coolOff: 15m                      # between an owner's own approval and its effect
retention: 7d                     # how long copies can be undone from
# Production behind a gate that runs as the agents' own user stops accidents only. To accept that: [level-0]
accept_risk: []
`
}

/** Adds what must not be committed to .gitignore, once. */
function ignoreSecrets(folder: string): readonly string[] {
  const path = join(folder, '.gitignore')
  const present = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const lines = present.split('\n').map((line) => line.trim())
  const missing = ['.sallyport/', 'secrets/'].filter((line) => !lines.includes(line))
  if (missing.length > 0) appendFileSync(path, `${present === '' || present.endsWith('\n') ? '' : '\n'}${missing.join('\n')}\n`)
  return missing
}

function report(
  options: Options,
  path: string,
  name: string,
  use: HandedCredential,
  protect: HandedCredential,
  ignored: readonly string[],
): void {
  if (options.json) {
    process.stdout.write(
      `${JSON.stringify({ config: path, upstream: name, survey: { use: use.survey, protect: protect.survey } })}\n`,
    )
    return
  }
  process.stdout.write(describeCredential(use, 'use'))
  if (protect !== use) process.stdout.write(describeCredential(protect, 'protect'))
  const kept = use.reference === null ? ', with the credential in secrets/ (0600)' : ', with references only'
  const lines = [
    `Wrote ${basename(path)}${kept}${ignored.length > 0 ? ` and ${ignored.join(' and ')} to .gitignore` : ''}.`,
    'Next: sallyport up, then sallyport doctor.',
    'Then take the database’s URL away from wherever agents can read it: .env files, shell profiles, ~/.pgpass.',
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}
