import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { CommandFailure, exitCodes } from './failure.ts'

const vaultProgram = fileURLToPath(new URL('../../vault/src/main.ts', import.meta.url))
const saidMax = 65_536

/** What the vault's own program writes to its output, as it comes. Ends with an error, never early, when it could not give all of it. */
export async function* readFromVault(words: readonly string[]): AsyncGenerator<Uint8Array, void, undefined> {
  const child = spawn(process.execPath, [vaultProgram, 'read', ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.on('data', (piece: Buffer) => (said = (said + piece.toString('utf8')).slice(-saidMax)))
  const closed = once(child, 'close')
  try {
    for await (const chunk of child.stdout) if (Buffer.isBuffer(chunk)) yield chunk
    await closed
    if (child.exitCode === 0) return
    throw new CommandFailure(
      exitCodes.failed,
      'vault_failed',
      `The vault could not give all of it: ${said.trim().slice(0, 300)}`,
      'What was restored so far stays in the folder, and is not whole.',
      'Run `sallyport vault verify`: it names what is damaged. An earlier moment may still be had.',
    )
  } finally {
    if (child.exitCode === null) child.kill('SIGKILL')
  }
}
