import { dirname, resolve } from 'node:path'
import { Command } from 'commander'
import { z } from 'zod'
import { openConfigurationFile } from '../configuration-file.ts'
import { parseDuration } from '../duration.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { takeCredential } from '../upstream-credential.ts'
import { dropProvisioned, provision } from './provision.ts'
import { describeDropped, describeProvisioned, provisionedJson } from './provision-report.ts'
import { readRoleScope } from './role-scope.ts'

const optionsShape = z.object({
  agent: z.string(),
  from: z.string().optional(),
  expires: z.string(),
  rotate: z.boolean().default(false),
  drop: z.boolean().default(false),
  revokePublic: z.boolean().default(false),
  accept: z.array(z.string()).default([]),
  dryRun: z.boolean().default(false),
  config: z.string(),
  json: z.boolean().default(false),
})
type Options = z.infer<typeof optionsShape>

export function makeProvisionCommand(): Command {
  return new Command('provision')
    .description(
      'Makes a role of an agent’s own in the database, with no more rights than its scope needs, and tries as that role all it must not be able to do. The administrator’s URL comes on standard input or by reference and is kept nowhere.',
    )
    .argument('<name>', 'the upstream')
    .requiredOption('--agent <name>', 'the agent whose statements will run as that role')
    .option('--from <reference>', 'the administrator’s URL by env:NAME, file:PATH or exec:COMMAND instead of standard input')
    .option('--expires <duration>', 'until when the role lets anyone in; run this again to put it off', '30d')
    .option('--rotate', 'a new password, and out with whoever came in by the old one')
    .option(
      '--revoke-public',
      'take from PUBLIC what no least role can be fenced from, and give it by name to the roles there are',
    )
    .option('--accept <id...>', 'leave one thing that PUBLIC gives as it is, by the id that --dry-run shows')
    .option('--drop', 'end the role: sessions, privileges, role, credential and its line in the configuration')
    .option('--dry-run', 'look and say what would be done')
    .option('--config <file>', 'the configuration to read and change', 'sallyport.yaml')
    .option('--json', 'one JSON object: config, upstream, agent, role, kind, state, expiresAtMs, findings, proof, inForce, …')
    .action(async (name: string, given: unknown) => run(name, optionsShape.parse(given)))
}

async function run(upstream: string, options: Options): Promise<void> {
  const configuration = resolve(options.config)
  if (options.drop) return await drop(upstream, options, configuration)
  const expiresMs = parseDuration(options.expires)
  const scope = readRoleScope(openConfigurationFile(configuration), upstream, options.agent)
  if (scope.kind === 'owner') throw beyond(upstream, options.agent, scope.may)
  const { database } = await takeCredential(options.from, dirname(configuration))
  const order = {
    configuration,
    upstream,
    agent: options.agent,
    scope,
    administrator: database,
    expiresMs,
    rotate: options.rotate,
    revokePublic: options.revokePublic,
    accepted: new Set(options.accept),
    dryRun: options.dryRun,
  }
  const made = await provision(order, scope.kind)
  const about = { configuration, upstream, agent: options.agent, may: scope.may }
  process.stdout.write(options.json ? provisionedJson(about, made) : describeProvisioned(about, made))
  const isWell = made.state === 'planned' || (made.credential !== null && made.privileges.missing.length === 0)
  if (!isWell) process.exitCode = exitCodes.failed
}

async function drop(upstream: string, options: Options, configuration: string): Promise<void> {
  const { database } = await takeCredential(options.from, dirname(configuration))
  const dropped = await dropProvisioned({ configuration, upstream, agent: options.agent, administrator: database })
  const about = { config: configuration, upstream, agent: options.agent }
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ ...about, ...dropped, state: 'dropped', inForce: false })}\n`
      : describeDropped(upstream, options.agent, dropped),
  )
}

/** What may drop or alter a table is its owner: a role with less could not do what the agent is to do after people said yes. */
function beyond(upstream: string, agent: string, may: readonly string[]): CommandFailure {
  return new CommandFailure(
    exitCodes.failed,
    'not_supported',
    `${agent} may do more on ${upstream} than read and write (${may.join(', ')}), and that takes the role that owns the tables. Whatever gets past the gate’s reading of its statements can then do what an owner can: no fence stands in the server behind the gate.`,
    'No role was made and nothing was changed.',
    `Where rows are all that it changes, say so (write ${upstream}, postgres.delete ${upstream}, postgres.update ${upstream}) and provision it; otherwise give that part of its work to an agent of its own, and leave ${agent} for what changes the tables themselves.`,
  )
}
