import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { CommandFailure, exitCodes } from './failure.ts'

export interface ChildSettings {
  /** As people know it: `gate`, `vault`, `playground database`. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly uid?: number | undefined
  readonly gid?: number | undefined
  /** Everything it prints goes here, appended; 0600. Not the ready line: it may hold a one-time link, which is for the terminal only. */
  readonly logFile: string
  readonly readyTimeoutMs: number
  /** How it is asked to end, and how long it may take before SIGKILL. */
  readonly stopTimeoutMs: number
  /** Aborts a start that is not ready yet: the child is asked to end, then made to. */
  readonly signal?: AbortSignal | undefined
}

export type Ended = { readonly kind: 'code'; readonly code: number } | { readonly kind: 'signal'; readonly signal: string }

/** A process of ours that said it is ready. It ends by itself when we do: it watches its standard input, which we hold open. */
export interface Child {
  readonly name: string
  readonly pid: number
  /** Its ready line, parsed from JSON. */
  readonly ready: unknown
  readonly ended: Promise<Ended>
  /** The last lines it printed, newest last. */
  lastLines(): readonly string[]
  /** SIGTERM, then SIGKILL to its whole process group after the deadline. Resolves when it is gone. */
  stop(): Promise<void>
  /** SIGKILL to its whole process group, now. */
  kill(): void
}

/** Longer lines are cut in the tail kept for errors; the log file has them whole. */
const lineLengthMax = 2000
/** A line longer than this is not waited for any more. */
const heldLineMax = 1024 * 1024
const lastLinesMax = 40

/**
 * Starts a process and waits for the one line `{"ready":true,…}` on its standard output.
 * It gets a process group of its own, so that a Ctrl-C at the terminal reaches only us and we can stop things in order.
 */
export async function startChild(settings: ChildSettings): Promise<Child> {
  mkdirSync(dirname(settings.logFile), { recursive: true, mode: 0o700 })
  const log = openSync(settings.logFile, 'a', 0o600)
  const spawned = spawn(settings.command, [...settings.args], {
    env: settings.env,
    cwd: '/',
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    ...(settings.uid === undefined ? {} : { uid: settings.uid, gid: settings.gid }),
  })
  spawned.stdin.on('error', () => undefined)
  const lines = collectLines(spawned, log)
  const ended = waitForEnd(spawned).finally(() => closeSync(log))
  const stop = async (): Promise<void> => {
    if (spawned.exitCode === null && spawned.signalCode === null) spawned.kill('SIGTERM')
    const timer = setTimeout(() => killGroup(spawned), settings.stopTimeoutMs)
    await ended
    clearTimeout(timer)
  }
  try {
    const ready = await waitForReady(settings, lines, ended)
    return {
      name: settings.name,
      pid: spawned.pid ?? 0,
      ready,
      ended,
      lastLines: () => lines.last,
      stop,
      kill: () => killGroup(spawned),
    }
  } catch (error) {
    await stop()
    throw error
  }
}

function killGroup(spawned: ChildProcess): void {
  if (spawned.pid === undefined) return
  try {
    process.kill(-spawned.pid, 'SIGKILL')
  } catch {
    // The group is gone already, which is what was wanted.
  }
}

function waitForEnd(spawned: ChildProcess): Promise<Ended> {
  return new Promise((resolve) => {
    spawned.once('error', () => resolve({ kind: 'code', code: 127 }))
    spawned.once('close', (code, signal) =>
      resolve(signal === null ? { kind: 'code', code: code ?? 1 } : { kind: 'signal', signal }),
    )
  })
}

interface Lines {
  readonly last: string[]
  /** Called with every line of standard output until it returns true. */
  listen(onLine: (line: string) => boolean): void
}

function collectLines(spawned: ChildProcess, log: number): Lines {
  const last: string[] = []
  let onLine: ((line: string) => boolean) | null = null
  const keep = (line: string): void => {
    writeSync(log, `${line}\n`)
    last.push(line.slice(0, lineLengthMax))
    if (last.length > lastLinesMax) last.shift()
  }
  const attach = (stream: NodeJS.ReadableStream | null, isOutput: boolean): void => {
    let rest = ''
    stream?.setEncoding('utf8')
    stream?.on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n')
      rest = parts.pop() ?? ''
      if (rest.length > heldLineMax) {
        parts.push(rest)
        rest = ''
      }
      for (const line of parts) {
        if (isOutput && onLine?.(line)) onLine = null
        else keep(line)
      }
    })
    stream?.on('end', () => {
      if (rest !== '') keep(rest)
    })
  }
  attach(spawned.stdout, true)
  attach(spawned.stderr, false)
  return {
    last,
    listen: (listener) => {
      onLine = listener
    },
  }
}

function waitForReady(settings: ChildSettings, lines: Lines, ended: Promise<Ended>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(
        startFailure(settings, `The ${settings.name} was not ready after ${settings.readyTimeoutMs / 1000} s.`, lines, false),
      )
    }, settings.readyTimeoutMs)
    const interrupt = (): void => {
      clearTimeout(timer)
      reject(interrupted())
    }
    if (settings.signal?.aborted) interrupt()
    settings.signal?.addEventListener('abort', interrupt, { once: true })
    lines.listen((line) => {
      const value = parseReady(line)
      if (value === null) return false
      clearTimeout(timer)
      resolve(value)
      return true
    })
    void ended.then((end) => {
      clearTimeout(timer)
      const how = end.kind === 'code' ? `code ${end.code}` : end.signal
      reject(
        startFailure(
          settings,
          `The ${settings.name} ended at its start with ${how}.`,
          lines,
          end.kind === 'code' && end.code === exitCodes.usage,
        ),
      )
    })
  })
}

function parseReady(line: string): unknown {
  if (!line.startsWith('{')) return null
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && 'ready' in value && value.ready === true ? value : null
  } catch {
    return null
  }
}

export function interrupted(): CommandFailure {
  return new CommandFailure(
    exitCodes.failed,
    'interrupted',
    'Interrupted while starting.',
    'Nothing is running.',
    'Start again when you like; what was made so far is kept.',
  )
}

/** A child that exits with 2 found fault with its settings; what it printed is the answer. */
function startFailure(settings: ChildSettings, what: string, lines: Lines, usage: boolean): CommandFailure {
  const said = lines.last.length === 0 ? '' : `\n${lines.last.map((line) => `  | ${line}`).join('\n')}`
  return new CommandFailure(
    usage ? exitCodes.usage : exitCodes.failed,
    'start_failed',
    `${what}${said}`,
    'Nothing is running.',
    usage ? 'Correct what it names, then start again.' : `Read ${settings.logFile}, then start again.`,
  )
}
