import { join, resolve } from 'node:path'
import { currentKey, formatVerifierKey, isOwnHost, parseCheckpoint, parseNote, visibleLine } from '@sallyport/core'
import type { Command } from 'commander'
import { z } from 'zod'
import { openConfigurationFile } from './configuration-file.ts'
import { CommandFailure, exitCodes } from './failure.ts'
import { findLog, findLogKeys, findWitness, readText } from './log-files.ts'

const optionsShape = z.object({ config: z.string(), json: z.boolean().default(false) })
/** The gate checks what it says; here only where to ask. */
const configurationShape = z.object({
  witnesses: z.object({ by: z.array(z.object({ url: z.string() })).default([]) }).default({ by: [] }),
})
const askMsMax = 10_000

type Stand = 'knows' | 'other_key' | 'unknown_log' | 'other_history' | 'unreachable'
interface Answered {
  readonly url: string
  readonly stands: Stand
}

/** `log witness`: the key that witnesses by URL have to hold, and whether each holds it, such as after `log rotate-key`. */
export function addWitness(command: Command): void {
  command
    .command('witness')
    .description(
      "Prints the log's verifier key as it is now, and asks each witness by URL of sallyport.yaml whether it takes it.",
    )
    .argument('[directory]', 'the log, or the state directory that holds it', join('.sallyport', 'log'))
    .option('--config <file>', 'the configuration that names the witnesses', 'sallyport.yaml')
    .option('--json', 'one JSON object: key, witnesses')
    .addHelpText(
      'after',
      '\nExit codes: 0 each takes it (or there is none), 1 one does not or did not answer, 2 no such log or file.',
    )
    .action(async (directory: string, given: unknown) => askWitnesses(directory, optionsShape.parse(given)))
}

async function askWitnesses(given: string, { config, json }: z.infer<typeof optionsShape>): Promise<void> {
  const directory = await findLog(given)
  const key = await findPresentKey(directory)
  const checkpoint = await readText(join(directory, 'checkpoint'))
  if (checkpoint === null)
    throw new CommandFailure(
      exitCodes.usage,
      'no_checkpoint',
      `The log in ${directory} has no checkpoint yet.`,
      'No witness was asked.',
      'Start the gate once, then ask again.',
    )
  const urls = readUrls(resolve(config))
  const witnesses = await Promise.all(urls.map(async (url): Promise<Answered> => ({ url, stands: await ask(url, checkpoint) })))
  process.stdout.write(json ? `${JSON.stringify({ key, witnesses })}\n` : describe(key, witnesses))
  if (witnesses.some(({ stands }) => stands !== 'knows')) process.exitCode = exitCodes.failed
}

async function findPresentKey(directory: string): Promise<string> {
  const { keys, rotations } = await findLogKeys(directory, [], await findWitness(directory, undefined))
  const [first] = keys
  if (first !== undefined) return formatVerifierKey(currentKey(first, rotations))
  throw new CommandFailure(
    exitCodes.usage,
    'no_key',
    `There is no verifier key beside the log in ${directory}.`,
    'No witness was asked.',
    'Start the gate once: it writes the file `keys`.',
  )
}

function readUrls(path: string): readonly string[] {
  const said: unknown = openConfigurationFile(path).document.toJS()
  const read = configurationShape.safeParse(said)
  return read.success ? read.data.witnesses.by.map(({ url }) => url) : []
}

/** The log's own checkpoint, as the gate sends it (C2SP tlog-witness), as if the witness had it already: it grows nothing there, and says what it takes. */
async function ask(text: string, checkpoint: string): Promise<Stand> {
  const url = URL.parse(text)
  if (url === null || !(url.protocol === 'https:' || (url.protocol === 'http:' && isOwnHost(url.hostname)))) return 'unreachable'
  const { size } = parseCheckpoint(parseNote(checkpoint).text)
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/add-checkpoint`
  try {
    const body = `old ${size}\n\n${checkpoint}`
    const answer = await fetch(url, { method: 'POST', body, redirect: 'error', signal: AbortSignal.timeout(askMsMax) })
    await answer.body?.cancel()
    return standOf(answer.status)
  } catch {
    return 'unreachable'
  }
}

/** A size of another moment (409) is told only to a log whose key is taken. */
function standOf(status: number): Stand {
  if (status === 200 || status === 409) return 'knows'
  if (status === 403) return 'other_key'
  if (status === 404) return 'unknown_log'
  return status === 422 ? 'other_history' : 'unreachable'
}

const words: Readonly<Record<Stand, string>> = {
  knows: 'takes it',
  other_key: 'DOES NOT TAKE IT: give it the line above, in place of the old one',
  unknown_log: 'DOES NOT KNOW this log: give it the line above',
  other_history: 'HAS SEEN ANOTHER HISTORY of this log: run `sallyport log verify`, and ask who keeps that witness',
  unreachable: 'could not be asked',
}

function describe(key: string, witnesses: readonly Answered[]): string {
  const lines = witnesses.map(({ url, stands }) => `  ${visibleLine(url)}  ${words[stands]}`)
  const asked = lines.length === 0 ? ['sallyport.yaml names no witness by URL; the vault is told by the gate itself.'] : lines
  return `${['The verifier key of this log:', '', `  ${key}`, '', ...asked].join('\n')}\n`
}
