import { resolve } from 'node:path'
import { visibleLine } from '@sallyport/core'
import type { Command } from 'commander'
import { z } from 'zod'
import { exitCodes } from './failure.ts'
import { askUnpackProgram } from './vault-program.ts'

const optionsShape = z.object({ to: z.string(), outwardLinks: z.boolean().default(false), json: z.boolean().default(false) })
const unpackedShape = z.object({
  snapshot: z.string(),
  folder: z.string(),
  things: z.number(),
  files: z.number(),
  bytes: z.number(),
  linksLeft: z.array(z.string()),
})

/** `vault unpack`: a folder again, out of the parts of its copy. */
export function addUnpack(vault: Command): void {
  vault
    .command('unpack')
    .description(
      'makes a folder again out of what `restore` or `recover` wrote of a copy of kind `folder`; needs no gate and no vault',
    )
    .argument('<folder>', 'where `restore` or `recover` wrote the copy')
    .requiredOption('--to <folder>', 'a new folder; what fails leaves nothing there')
    .option('--outward-links', 'make links that lead out of the folder, too (default: they are named and left out)')
    .option('--json', 'one JSON object: snapshot, folder, things, files, bytes, linksLeft')
    .addHelpText('after', unpackHelp)
    .action(async (from: string, given: unknown) => await unpack(from, optionsShape.parse(given)))
}

const unpackHelp = `
Every file is compared with what was sealed. Nothing is written outside of the new folder. Its files are yours: owners and set-user and set-group bits
of the copy are not given. Exit code 1: it was not unpacked, or links were left out.`

async function unpack(from: string, { to, outwardLinks, json }: z.infer<typeof optionsShape>): Promise<void> {
  const text = await askUnpackProgram([...(outwardLinks ? ['--outward-links'] : []), '--', resolve(from), resolve(to)])
  const done = unpackedShape.parse(JSON.parse(text))
  if (done.linksLeft.length > 0) process.exitCode = exitCodes.failed
  if (json) return void process.stdout.write(text)
  const lines = done.linksLeft.map((link) => visibleLine(`LEFT OUT, a link that leads out of the folder: ${link}`))
  lines.push(`${done.files} files, ${done.bytes} bytes, as they were sealed: ${done.folder}`)
  if (lines.length > 1)
    lines.push('Links that lead out can do harm to whoever writes through them: --outward-links makes them all the same.')
  process.stdout.write(`${lines.join('\n')}\n`)
}
