import { createHash, randomUUID } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { CommandFailure, exitCodes } from '../failure.ts'
import { makePrivateFolder, writePrivateFile } from '../state-directory.ts'

/**
 * `canaries.json` in the gate's state, 0600: tokens that open nothing and that nobody has a reason to use. The gate rings when it sees one.
 * The tokens themselves are not in it: 122 random bits cannot be guessed from their SHA-256.
 */
const canariesShape = z.object({
  version: z.literal(1),
  canaries: z.array(
    z.object({
      /** SHA-256 of the token as it is written in the planted file, hex. */
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
      /** Where it was planted, absolute: what the alarm says. */
      file: z.string(),
      /** Whose token it looks like. */
      host: z.string(),
      plantedAtMs: z.number(),
    }),
  ),
})
export type Canary = z.infer<typeof canariesShape>['canaries'][number]

const canariesMax = 1_000

function canariesFile(stateDirectory: string): string {
  return join(stateDirectory, 'canaries.json')
}

export function readCanaries(stateDirectory: string): readonly Canary[] {
  const file = canariesFile(stateDirectory)
  return existsSync(file) ? canariesShape.parse(JSON.parse(readFileSync(file, 'utf8'))).canaries : []
}

/** Writes a file that looks as if somebody had left a token in it, and remembers the token's hash. Known first, planted then: never the other way round. */
export function plantCanary(stateDirectory: string, folder: string, nowMs: number): Canary {
  const file = join(folder, '.env.domains')
  if (existsSync(file)) throw alreadyThere(file)
  const canaries = readCanaries(stateDirectory)
  if (canaries.length >= canariesMax) throw tooMany()
  const token = randomUUID()
  const sha256 = createHash('sha256').update(token).digest('hex')
  const canary: Canary = { sha256, file, host: 'backboard.railway.com', plantedAtMs: nowMs }
  makePrivateFolder(stateDirectory)
  writePrivateFile(canariesFile(stateDirectory), `${JSON.stringify({ version: 1, canaries: [...canaries, canary] }, null, 2)}\n`)
  writeFileSync(file, `# Domains of the shop. Ask before you renew it.\nRAILWAY_DOMAINS_TOKEN=${token}\n`, {
    flag: 'wx',
    mode: 0o644,
  })
  return canary
}

function alreadyThere(file: string): CommandFailure {
  return new CommandFailure(
    exitCodes.usage,
    'refused',
    `${file} is there already.`,
    'No canary was planted; the file was not changed.',
    'Give another folder, or move the file away.',
  )
}

function tooMany(): CommandFailure {
  return new CommandFailure(
    exitCodes.usage,
    'refused',
    `There are ${canariesMax} canaries already.`,
    'No canary was planted.',
    'Remove those you need no more from canaries.json in the state.',
  )
}
