import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { childEnvironment } from '../fakes/child-environment.ts'

/** The command as somebody types it. */
const program = fileURLToPath(new URL('../../packages/cli/bin/sallyport.js', import.meta.url))

export interface Said {
  readonly code: number | null
  readonly out: string
  readonly said: string
}

function start(words: readonly string[], folder: string): ChildProcess {
  return spawn(process.execPath, [program, ...words], {
    cwd: folder,
    env: childEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** Runs it to its end in a folder. */
export async function sallyport(folder: string, ...words: readonly string[]): Promise<Said> {
  const child = start(words, folder)
  let [out, said] = ['', '']
  child.stdout?.on('data', (piece) => (out += String(piece)))
  child.stderr?.on('data', (piece) => (said += String(piece)))
  await once(child, 'close')
  return { code: child.exitCode, out, said }
}

/** `sallyport up` in a folder; resolves once it is ready. The way to end it as Ctrl-C does. */
export async function startUp(folder: string): Promise<{ stop(): Promise<void> }> {
  const child = start(['up', '--json'], folder)
  let said = ''
  child.stderr?.on('data', (piece) => (said += String(piece)))
  const ended = once(child, 'exit')
  const lines = createInterface({ input: child.stdout ?? process.stdin })
  const first = await Promise.race([once(lines, 'line'), ended.then(() => null)])
  if (first === null) throw new Error(`sallyport up ended with ${child.exitCode}: ${said}`)
  return {
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT')
      await ended
    },
  }
}
