import { spawn, type ChildProcess } from 'node:child_process'
import { childEnvironment } from './child-environment.ts'
import { findProgram } from './programs.ts'

export interface CommandLineEnd {
  readonly code: number | null
  readonly output: string
  readonly errors: string
}

export interface CommandLineSettings {
  readonly folder: string
  readonly input?: string
  readonly environment?: NodeJS.ProcessEnv
  /** Called once with the running process. */
  readonly whileRunning?: (child: ChildProcess) => void
}

const program = findProgram('cli')

/** Runs `sallyport WORDS` as a process of its own. */
export function runCommandLine(words: readonly string[], settings: CommandLineSettings): Promise<CommandLineEnd> {
  const child = spawn(process.execPath, [program, ...words], {
    cwd: settings.folder,
    env: { ...childEnvironment(), HOME: settings.folder, ...settings.environment },
    stdio: 'pipe',
  })
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  child.stdin.on('error', () => undefined)
  child.stdin.end(settings.input ?? '')
  settings.whileRunning?.(child)
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output, errors })))
}
