import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { findProgram } from '../fakes/programs.ts'

const main = findProgram('vault')

/** A real vault process on a real socket, made for one test and thrown away after it. */
export interface VaultProcess {
  readonly root: string
  readonly folder: string
  readonly socketPath: string
  readonly tokenFile: string
  readonly publicKey: string
  readonly pid: number
  token(): string
  /** SIGTERM, and waits. */
  end(): Promise<number | null>
  /** SIGKILL, and waits. */
  kill(): Promise<void>
  /** Another process on the same folder; the one before must have ended. */
  again(flags?: readonly string[]): Promise<VaultProcess>
  /** Ends it if it still runs and removes everything. */
  remove(): Promise<void>
}

export async function startVault(flags: readonly string[] = []): Promise<VaultProcess> {
  return await startVaultIn(mkdtempSync(join(tmpdir(), 'spv-')), flags)
}

export async function startVaultIn(root: string, flags: readonly string[] = []): Promise<VaultProcess> {
  const [folder, socketPath, tokenFile] = [join(root, 'vault'), join(root, 'run', 'vault.sock'), join(root, 'run', 'token')]
  const child = spawn(
    process.execPath,
    [main, 'serve', '--dir', folder, '--socket', socketPath, '--token-file', tokenFile, ...flags],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let said = ''
  child.stderr.on('data', (piece) => (said += String(piece)))
  const ended = once(child, 'exit')
  const first = await Promise.race([once(createInterface(child.stdout), 'line'), ended.then(() => null)])
  if (first === null) throw new Error(`the vault ended at start with ${child.exitCode}: ${said}`)
  const ready: unknown = JSON.parse(String(first[0]))
  if (typeof ready !== 'object' || ready === null || !('publicKey' in ready))
    throw new Error('the vault did not say that it is ready')
  const signal = async (name: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(name)
    await ended
  }
  return {
    root,
    folder,
    socketPath,
    tokenFile,
    publicKey: String(ready.publicKey),
    pid: child.pid ?? 0,
    token: () => readFileSync(tokenFile, 'utf8').trim(),
    end: async () => {
      await signal('SIGTERM')
      return child.exitCode
    },
    kill: () => signal('SIGKILL'),
    again: (more = flags) => startVaultIn(root, more),
    remove: async () => {
      await signal('SIGKILL')
      rmSync(root, { recursive: true, force: true })
    },
  }
}

/** `vault list|verify|restore` as a process. */
export async function runVault(
  words: readonly string[],
): Promise<{ readonly code: number | null; readonly document: unknown; readonly said: string }> {
  const child = spawn(process.execPath, [main, ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, said] = ['', '']
  child.stdout.on('data', (piece) => (out += String(piece)))
  child.stderr.on('data', (piece) => (said += String(piece)))
  await once(child, 'close')
  return { code: child.exitCode, document: out === '' ? null : JSON.parse(out), said }
}
