import { readFileSync, statSync } from 'node:fs'
import { LogFormatError, visibleLine } from '@sallyport/core'
import { Command } from 'commander'
import { z } from 'zod'
import { bundleBytesMax, keysOf, verifyBundle, type BundleReport } from '../bundle.ts'
import { readBundle, renderBundle } from '../bundle-page.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { lineOf } from '../log-search.ts'

const optionsShape = z.object({
  logKey: z.array(z.string()).default([]),
  witnessKey: z.array(z.string()).default([]),
  json: z.boolean().default(false),
})

/** Needs neither gate nor log: one file, and keys from elsewhere. */
export function makeCommand(): Command {
  return new Command('verify')
    .description('Checks a file that `sallyport log bundle` made: offline, with no gate and no log.')
    .argument('<bundle>', 'the file')
    .option('--log-key <key...>', "the log's verifier key, name+id+base64, from somewhere else than the file")
    .option('--witness-key <key...>', "the witness's verifier key, likewise")
    .option('--json', 'one JSON object: ok, origin, size, signedByLog, witnessTimeS, keysFrom, findings, entries, isPageOurs')
    .addHelpText(
      'after',
      '\nExit codes:\n  0  everything in it is proven\n  1  something is not; it is named\n  2  no such file, or no bundle in it',
    )
    .action((path: string, given: unknown) => verify(path, optionsShape.parse(given)))
}

function verify(path: string, { logKey, witnessKey, json }: z.infer<typeof optionsShape>): void {
  const text = readFile(path)
  const bundle = readBundle(text)
  const report = verifyBundle(bundle, readKeys(logKey, witnessKey))
  const isPageOurs = text === renderBundle(bundle, verifyBundle(bundle, []))
  process.stdout.write(json ? `${JSON.stringify({ ...report, isPageOurs })}\n` : describe(report, isPageOurs))
  if (!report.ok) process.exitCode = exitCodes.failed
}

function readFile(path: string): string {
  const problem = (what: string): CommandFailure =>
    new CommandFailure(
      exitCodes.usage,
      'no_bundle',
      what,
      'Nothing was verified.',
      'Name a file that `sallyport log bundle` made.',
    )
  try {
    if (statSync(path).size > bundleBytesMax) throw problem('The file is larger than any bundle.')
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof CommandFailure) throw error
    throw problem(`The file cannot be read (${error instanceof Error && 'code' in error ? String(error.code) : 'unknown'}).`)
  }
}

function readKeys(logKeys: readonly string[], witnessKeys: readonly string[]): ReturnType<typeof keysOf> {
  try {
    return keysOf(logKeys, witnessKeys)
  } catch (error) {
    if (!(error instanceof LogFormatError)) throw error
    throw new CommandFailure(
      exitCodes.usage,
      'bad_key',
      `A verifier key cannot be read: ${error.message}.`,
      'Nothing was verified.',
      'A key looks like name+id+base64.',
    )
  }
}

function describe(report: BundleReport, isPageOurs: boolean): string {
  const { origin, size, entries, findings, witnessTimeS, keysFrom } = report
  const lines = entries.map(({ index, event, isProven }) =>
    visibleLine(`${isProven ? 'proven' : 'NOT PROVEN'}  ${event === null ? `${index} cannot be read` : lineOf(index, event)}`),
  )
  const witnessed =
    witnessTimeS === null
      ? 'note: no witness known here signed it: truncation and a second history are not excluded'
      : `witnessed at ${new Date(witnessTimeS * 1000).toISOString()}`
  return `${[
    ...lines,
    visibleLine(`${entries.length} of the ${size} entries of ${origin}, as its checkpoint signs them`),
    witnessed,
    ...(keysFrom === 'bundle'
      ? ['note: the keys are the file’s own, which proves nothing against whoever made it; give --log-key and --witness-key']
      : []),
    ...(isPageOurs
      ? []
      : ['note: the page says something else than its proof, or was made by another version: believe these lines, not the page']),
    ...findings.map((finding) => visibleLine(`FINDING: ${finding}`)),
    findings.length === 0 ? 'ok' : `${findings.length} findings: this file cannot be believed as it stands.`,
  ].join('\n')}\n`
}
