import { spawn } from 'node:child_process'

export interface CommandResult {
  /** Exit code; 128 + signal's place is not used: a signal is code 1 and named in the output. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  readonly cwd: string
  readonly timeoutMs?: number
  readonly environment?: NodeJS.ProcessEnv
  /** Passes output on as it comes, besides collecting it. */
  readonly live?: boolean
  readonly stdin?: string
}

/** For compilers in Go, which spend a third of their time on collecting garbage of which their short life leaves little: not below this size. */
export function uncollected(): NodeJS.ProcessEnv {
  return { GOGC: 'off', GOMEMLIMIT: '2GiB', ...process.env }
}

const timeoutMsDefault = 600_000
/** Enough for any report; a program that says more is cut, not kept whole in memory. */
const outputBytesMax = 64 * 1024 * 1024

/** Runs a program to its end in a process group of its own, so that a timeout leaves none of its children behind. Never rejects. */
export function runCommand(program: string, args: readonly string[], options: CommandOptions): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(program, [...args], {
      cwd: options.cwd,
      env: options.environment ?? process.env,
      detached: true,
      stdio: 'pipe',
    })
    const stdout = collect(child.stdout, options.live === true ? process.stdout : null)
    const stderr = collect(child.stderr, options.live === true ? process.stderr : null)
    const forget = endGroupWithUs(child.pid)
    const timeoutMs = options.timeoutMs ?? timeoutMsDefault
    let note = ''
    const timer = setTimeout(() => {
      note = `${program} was stopped: it ran longer than ${timeoutMs / 1000} s\n`
      killGroup(child.pid)
    }, timeoutMs)
    const finish = (code: number): void => {
      clearTimeout(timer)
      forget()
      resolve({ code, stdout: stdout(), stderr: `${stderr()}${note}` })
    }
    child.once('error', (error) => {
      note = `${program} could not be started: ${error.message}\n`
      finish(127)
    })
    child.once('close', (code, signal) => {
      if (signal !== null && note === '') note = `${program} was ended by ${signal}\n`
      finish(code ?? 1)
    })
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.stdin ?? '')
  })
}

function collect(stream: NodeJS.ReadableStream, passOn: NodeJS.WritableStream | null): () => string {
  const chunks: Buffer[] = []
  let size = 0
  stream.on('data', (chunk: Buffer) => {
    passOn?.write(chunk)
    if (size + chunk.length > outputBytesMax) return
    size += chunk.length
    chunks.push(chunk)
  })
  return () => Buffer.concat(chunks).toString('utf8')
}

/** The group does not get the terminal's Ctrl-C, so we pass the end on. */
function endGroupWithUs(pid: number | undefined): () => void {
  const onExit = (): void => killGroup(pid)
  const onSignal = (signal: NodeJS.Signals): void => {
    killGroup(pid)
    process.exit(signal === 'SIGINT' ? 130 : 143)
  }
  process.once('exit', onExit)
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  return () => {
    process.off('exit', onExit)
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Already gone: that is what was wanted.
  }
}
