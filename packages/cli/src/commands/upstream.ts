import { dirname, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { z } from 'zod'
import { addEntry, openConfigurationFile, saveConfigurationFile, writeCredential } from '../configuration-file.ts'
import { makeProvisionCommand } from '../provision/command.ts'
import { describeCredential, takeCredential } from '../upstream-credential.ts'

const optionsShape = z.object({
  from: z.string().optional(),
  protectFrom: z.string().optional(),
  environment: z.enum(['production', 'staging', 'development']),
  config: z.string(),
  json: z.boolean().default(false),
})

export function makeCommand(): Command {
  const command = new Command('upstream').description('The real systems behind the gate.')
  command
    .command('add')
    .description(
      'Adds a database: its URL comes on standard input or by reference, is tried once, and goes to a 0600 file, never into the configuration.',
    )
    .argument('<name>', 'what agents call it')
    .option('--from <reference>', 'env:NAME, file:PATH or exec:COMMAND instead of standard input')
    .option('--protect-from <reference>', 'a second credential, for copies only (default: the same one)')
    .addOption(
      new Option('--environment <name>', 'what it is').choices(['production', 'staging', 'development']).default('production'),
    )
    .option('--config <file>', 'the configuration to change', 'sallyport.yaml')
    .option('--json', 'one JSON object: config, upstream, survey, inForce')
    .action(async (name: string, given: unknown) => addUpstream(name, optionsShape.parse(given)))
  command.addCommand(makeProvisionCommand())
  return command
}

async function addUpstream(name: string, options: z.infer<typeof optionsShape>): Promise<void> {
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
  process.stdout.write(
    `Added ${name} to ${options.config}. No agent may do anything there yet; a running gate takes it up when it is started again, once with --accept-configuration.\n`,
  )
  process.stdout.write(`Next: sallyport agent add NAME --owner YOU --may 'read ${name}'\n`)
}
