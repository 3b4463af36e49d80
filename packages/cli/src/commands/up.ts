import { Command } from 'commander'
import { z } from 'zod'
import { stateOption } from '../state-directory.ts'
import { runUp, shippedPrograms } from '../up.ts'

const optionsShape = z.object({
  config: z.string().optional(),
  state: z.string(),
  agentUser: z.string().optional(),
  acceptConfiguration: z.boolean().default(false),
  json: z.boolean().default(false),
})

export function makeCommand(): Command {
  return new Command('up')
    .description(
      'Starts the gate, the vault and the people’s pages, and stays until Ctrl-C. Without a sallyport.yaml it makes a playground: ' +
        'a real PostgreSQL with a production and a staging database of a small shop.',
    )
    .option('--config <file>', 'the configuration (default: sallyport.yaml here, else a playground)')
    .addOption(stateOption())
    .option('--agent-user <name>', 'the system’s user that agents run as, to judge the isolation level by (default: you)')
    .option(
      '--accept-configuration',
      'while nobody is enrolled: take over what the configuration gives beyond the one that ran last; once people are, they accept it',
    )
    .option('--json', 'one JSON line when ready instead of the text')
    .action(async (given: unknown) => {
      const { config, state, agentUser, acceptConfiguration, json } = optionsShape.parse(given)
      process.exitCode = await runUp({
        configuration: config ?? null,
        stateDirectory: state,
        json,
        acceptConfiguration,
        agentUser: agentUser ?? null,
        programs: shippedPrograms,
        nowMs: Date.now,
        write: (text) => process.stdout.write(text),
      })
    })
}
