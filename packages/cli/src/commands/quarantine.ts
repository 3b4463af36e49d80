import { visibleLine } from '@sallyport/core'
import { Command } from 'commander'
import { z } from 'zod'
import { paths } from '../control-api.ts'
import { connectControl } from '../control-client.ts'
import { stateOption } from '../state-directory.ts'

const optionsShape = z.object({ state: z.string(), json: z.boolean().default(false) })
const thingsShape = z.object({
  quarantined: z.array(
    z.object({
      upstream: z.string(),
      id: z.string(),
      things: z.array(z.string()),
      bytes: z.number(),
      untilMs: z.number(),
      due: z.boolean(),
    }),
  ),
})

/** Looks only: what is in there is taken back by `sallyport undo`, and goes by itself when its time is over. */
export function makeCommand(): Command {
  return new Command('quarantine')
    .description(
      'What was dropped and is still there, out of everybody’s reach, until its time is over (quarantine: in sallyport.yaml). sallyport undo SNAPSHOT moves it back.',
    )
    .addOption(stateOption())
    .option('--json', 'one JSON object: quarantined')
    .action(async (given: unknown) => {
      const options = optionsShape.parse(given)
      const control = await connectControl(options.state)
      const answer = await control.get(paths.quarantine, thingsShape)
      process.stdout.write(options.json ? `${JSON.stringify(answer)}\n` : say(answer))
    })
}

function say({ quarantined }: z.infer<typeof thingsShape>): string {
  if (quarantined.length === 0) return 'Nothing is in quarantine.\n'
  return quarantined
    .map(({ upstream, id, things, bytes, untilMs, due }) => {
      const when = due ? 'its time is over; it is dropped next' : `until ${new Date(untilMs).toISOString()}`
      return `${visibleLine(upstream)}  ${things.map((thing) => visibleLine(thing)).join(', ')}  ${bytes.toLocaleString('en')} bytes  ${when}\n    ${visibleLine(id)}\n`
    })
    .join('')
}
