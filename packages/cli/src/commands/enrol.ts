import { Command } from 'commander'
import { z } from 'zod'
import { connectControl } from '../control-client.ts'
import { stateOption } from '../state-directory.ts'

const optionsShape = z.object({ state: z.string(), json: z.boolean().default(false) })
const linkShape = z.object({ url: z.url(), expiresAtMs: z.number() })

/** `sallyport up` prints this link by itself; a service's output is read by others. */
export function makeCommand(): Command {
  return new Command('enrol')
    .description('Makes a one-time link by which the first person enrols a passkey. Refused as soon as somebody is enrolled.')
    .addOption(stateOption())
    .option('--json', 'one JSON object: url, expiresAtMs')
    .action(async (given: unknown) => {
      const { state, json } = optionsShape.parse(given)
      const link = await (await connectControl(state)).post('/api/v1/enrolment-links', {}, linkShape)
      process.stdout.write(
        json
          ? `${JSON.stringify(link)}\n`
          : `${link.url}\nGood for one person, until ${new Date(link.expiresAtMs).toISOString()}.\n`,
      )
    })
}
