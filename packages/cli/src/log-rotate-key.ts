import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatVerifierKey, noteSigner } from '@sallyport/core'
import type { Command } from 'commander'
import { z } from 'zod'
import { CommandFailure, exitCodes } from './failure.ts'
import { stateOption, writePrivateFile } from './state-directory.ts'

const optionsShape = z.object({ state: z.string(), json: z.boolean().default(false) })
const seedBytes = 32
const originShape = /^sallyport\/[0-9a-f]{16}$/

/** `log rotate-key`: makes the next key; the gate takes it over at its next start, because only the gate writes the log. */
export function addRotateKey(command: Command): void {
  command
    .command('rotate-key')
    .description('Makes a new key for the log. The gate takes it over at its next start, with a statement signed by both.')
    .addOption(stateOption())
    .option('--json', 'one JSON object: from, to')
    .action((given: unknown) => rotate(optionsShape.parse(given)))
}

function rotate({ state, json }: z.infer<typeof optionsShape>): void {
  const origin = readKept(state, 'log.origin', originShape)
  const old = noteSigner(origin, Buffer.from(readKept(state, 'log.key', /^[0-9a-f]{64}$/), 'hex'))
  const path = join(state, 'log.key.next')
  if (existsSync(path))
    throw new CommandFailure(
      exitCodes.failed,
      'rotation_waiting',
      'A new key waits already; the gate takes it over at its next start.',
      'No other was made.',
      `Restart the gate. To keep the old key, remove ${path} while the gate is stopped.`,
    )
  const seed = randomBytes(seedBytes)
  const next = noteSigner(origin, seed)
  writePrivateFile(path, seed.toString('hex'))
  const [from, to] = [formatVerifierKey(old.key), formatVerifierKey(next.key)]
  process.stdout.write(json ? `${JSON.stringify({ from, to })}\n` : describe(from, to))
}

function describe(from: string, to: string): string {
  return `A new key for the log is made. At its next start the gate hands over to it, tells its vault, and forgets the old one.

  until then  ${from}
  from then   ${to}

Restart the gate. Wherever you pinned the first line (--log-key, a witness by URL), put the second in its place: whoever
pins the old one alone cannot tell a thief of the old key from you. \`sallyport log witness\` says which witness does not take it yet.
`
}

function readKept(state: string, name: string, shape: RegExp): string {
  try {
    const text = readFileSync(join(state, name), 'utf8').trim()
    if (shape.test(text)) return text
  } catch {
    // Said below; what the system says of it may hold nothing but the path.
  }
  throw new CommandFailure(
    exitCodes.usage,
    'no_key',
    `There is no ${name} that can be read in ${state}.`,
    'No key was made.',
    'Run this as the user of the gate, and name its state directory with --state.',
  )
}
