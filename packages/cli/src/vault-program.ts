import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { CommandFailure, exitCodes } from './failure.ts'
import { ProgressLine } from './progress-line.ts'

const vaultProgram = fileURLToPath(new URL('../../vault/src/main.ts', import.meta.url))
const unpackProgram = fileURLToPath(new URL('../../gateway/src/producers/folder/unpack-program.ts', import.meta.url))
/** A listing of a vault that has been at it for years. */
const documentBytesMax = 1 << 30
const progressShape = z.object({ progress: z.object({ done: z.number(), total: z.number() }) })
const errorShape = z.object({ error: z.string(), message: z.string() })

/** Runs the vault's own program on a folder: only it knows the format. Damage (1) still comes with a document. */
export async function askVaultProgram(words: readonly string[]): Promise<{ readonly text: string; readonly code: number }> {
  return await askProgram(vaultProgram, words)
}

/** Runs the program that makes a folder again out of a restored copy of it. */
export async function askUnpackProgram(words: readonly string[]): Promise<string> {
  return (await askProgram(unpackProgram, words)).text
}

async function askProgram(program: string, words: readonly string[]): Promise<{ readonly text: string; readonly code: number }> {
  const child = spawn(process.execPath, [program, ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
  const out: Buffer[] = []
  let bytes = 0
  let said = ''
  child.stdout.on('data', (piece: Buffer) => {
    bytes += piece.length
    if (bytes > documentBytesMax) child.kill('SIGKILL')
    else out.push(piece)
  })
  const lines = createInterface({ input: child.stderr })
  const progress = new ProgressLine()
  lines.on('line', (line) => {
    const told = progressShape.safeParse(parseJson(line))
    if (told.success) progress.show({ step: 'restoring', done: told.data.progress.done, total: told.data.progress.total })
    else said = `${said}${line}\n`.slice(0, 65_536)
  })
  await once(child, 'close')
  progress.end()
  const text = Buffer.concat(out).toString('utf8')
  if (text !== '' && (child.exitCode === 0 || child.exitCode === 1)) return { text, code: child.exitCode }
  throw describeRefusal(said, child.exitCode)
}

function describeRefusal(said: string, code: number | null): CommandFailure {
  const parsed = errorShape.safeParse(parseJson(said))
  const usage = code === 2
  const what = parsed.success ? parsed.data.message : 'The vault program could not do it.'
  return new CommandFailure(
    usage ? exitCodes.usage : exitCodes.failed,
    parsed.success ? parsed.data.error : 'vault_failed',
    what,
    'Nothing was changed in the vault.',
    usage || (parsed.success && parsed.data.error === 'not_found')
      ? 'Name the right folder or snapshot; see `sallyport vault --help`.'
      : "Run it as the vault's own user, on the vault's folder; `sallyport doctor` names both.",
  )
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
