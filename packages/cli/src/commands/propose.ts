import { visibleLine } from '@sallyport/core'
import { Command } from 'commander'
import { z } from 'zod'
import { paths } from '../control-api.ts'
import { connectControl } from '../control-client.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { stateOption } from '../state-directory.ts'

const optionsShape = z.object({ state: z.string(), json: z.boolean().default(false) })
const rereadShape = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.enum(['same', 'narrower']), page: z.string() }),
  z.object({ outcome: z.literal('mistakes'), lines: z.array(z.string()), page: z.string() }),
  z.object({ outcome: z.literal('proposed'), widenings: z.array(z.string()), page: z.string() }),
])
type Reread = z.infer<typeof rereadShape>

/** Asks the running gate to read its configuration file again. It changes nothing that is in force: people's passkeys and a start do. */
export function makeCommand(): Command {
  return new Command('propose')
    .description(
      'Puts what sallyport.yaml gives beyond what is in force to the people, who accept it with a passkey on the Configuration page. ' +
        'What it only takes away needs nobody: it holds from the next start.',
    )
    .addOption(stateOption())
    .option('--json', 'one JSON object: outcome (same, narrower, proposed), widenings, page')
    .action(async (given: unknown) => {
      const options = optionsShape.parse(given)
      const control = await connectControl(options.state)
      const answer = await control.post(paths.reread, {}, rereadShape)
      if (answer.outcome === 'mistakes') throw mistaken(answer.lines)
      process.stdout.write(options.json ? `${JSON.stringify(answer)}\n` : say(answer))
    })
}

function say(answer: Exclude<Reread, { outcome: 'mistakes' }>): string {
  switch (answer.outcome) {
    case 'same':
      return 'The file gives what is in force. There is nothing to propose.\n'
    case 'narrower':
      return 'The file gives nothing beyond what is in force. Start the gate again to take it up.\n'
    case 'proposed':
      return `Proposed. Beyond what is in force it would give:\n${answer.widenings
        .map((line) => `  - ${visibleLine(line)}`)
        .join('\n')}\nPeople accept it with a passkey at ${answer.page}; then start the gate again.\n`
  }
}

function mistaken(lines: readonly string[]): CommandFailure {
  return new CommandFailure(
    exitCodes.usage,
    'bad_configuration',
    `The configuration has mistakes:\n${lines.map((line) => `  ${visibleLine(line)}`).join('\n')}`,
    'Nothing was proposed.',
    'Mend the file, then run this again.',
  )
}
