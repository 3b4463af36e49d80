import { resolve } from 'node:path'
import { parseScope } from '@sallyport/core'
import { Command } from 'commander'
import { z } from 'zod'
import { addEntry, namesUnder, openConfigurationFile, requireName, saveConfigurationFile } from '../configuration-file.ts'
import { parseDuration } from '../duration.ts'
import { CommandFailure, exitCodes } from '../failure.ts'

const optionsShape = z.object({
  owner: z.string(),
  may: z.array(z.string()),
  ttl: z.string(),
  config: z.string(),
  json: z.boolean().default(false),
})

export function makeCommand(): Command {
  const command = new Command('agent').description('The agents of this gate and what each may do.')
  command
    .command('add')
    .description('Adds an agent to the configuration.')
    .argument('<name>', 'what it signs in as')
    .requiredOption('--owner <name>', 'the person or team it acts for')
    .requiredOption('--may <scope...>', "what it may do, such as 'read orders-db' (can be given several times)")
    .option('--ttl <duration>', 'the longest a handle of its may live', '8h')
    .option('--config <file>', 'the configuration to change', 'sallyport.yaml')
    .option('--json', 'one JSON object: config, agent, may, inForce')
    .action((name: string, given: unknown) => addAgent(name, optionsShape.parse(given)))
  return command
}

function addAgent(name: string, options: z.infer<typeof optionsShape>): void {
  const path = resolve(options.config)
  const file = openConfigurationFile(path)
  requireName(options.owner)
  parseDuration(options.ttl)
  const upstreams = namesUnder(file, 'upstreams')
  for (const scope of options.may) requireScope(scope, upstreams)
  addEntry(file, 'agents', name, { owner: options.owner, may: options.may, handles: { ttl: options.ttl } })
  saveConfigurationFile(file)
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ config: path, agent: name, may: options.may, inForce: false })}\n`)
    return
  }
  process.stdout.write(
    `Added ${name}, who may: ${options.may.join(', ')}. A running gate takes it up when people accepted it (sallyport propose) and it is started again.\n`,
  )
  process.stdout.write(`Then: sallyport handle issue ${name}\n`)
}

function requireScope(text: string, upstreams: readonly string[]): void {
  const scope = parseScope(text)
  if (typeof scope === 'string')
    throw badScope(`${scope}.`, "Write a scope like 'read orders-db' or 'postgres.drop_table orders-db'.")
  if (upstreams.includes(scope.upstream)) return
  throw badScope(
    `No upstream is called "${scope.upstream}".`,
    `Upstreams are: ${upstreams.join(', ') || 'none yet'}. Add one with \`sallyport upstream add\`.`,
  )
}

function badScope(what: string, next: string): CommandFailure {
  return new CommandFailure(exitCodes.usage, 'not_in_scope', what, 'Nothing was changed.', next)
}
