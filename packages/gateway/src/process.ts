import { resolve } from 'node:path'
import { announceService } from './service-record.ts'
import { parseArgs } from 'node:util'
import { SallyportError, visibleLine, type GovernPorts } from '@sallyport/core'
import { readConfig, type Config } from './config.ts'

export interface GateOptions {
  readonly config: Config
  readonly stateDirectory: string
  readonly vaultSocket: string
  readonly vaultTokenFile: string
  /** How far agents stand from this gate, as whoever started it found (DESIGN §6). */
  readonly isolationLevel: 0 | 1 | 2 | 3
  /** Whoever starts it wants what the configuration gives beyond the one that ran last. Counts only while nobody is enrolled (DESIGN §6). */
  readonly acceptConfiguration?: boolean
  /** Whoever starts it wrote the configuration itself, just now: a playground's, a drill's. */
  readonly ownConfiguration?: boolean
  /** A gate of a drill: enrols virtual persons, and nobody else. */
  readonly drill: boolean
  /** Lets a test stand between the pipeline and its ports. Nothing that ships gives one. */
  readonly decorate?: (ports: GovernPorts) => GovernPorts
  readonly report: (problem: string) => void
}

export interface RunningGate {
  readonly controlUrl: string
  readonly postgresAddress: string
  /** Where agents' HTTP goes; null when no HTTP upstream is configured. */
  readonly httpAddress: string | null
  readonly enrolmentUrl: string | null
  /** What the file gives beyond what is in force, a line each; people decide. */
  readonly proposed: readonly string[]
  /** @param drainMs how long what runs may take to end by itself; nothing new is let in meanwhile. Default 0: everything ends now */
  close(drainMs?: number): Promise<void>
}

const levels = [0, 1, 2, 3] as const
/** Mistakes of a configuration that are printed. */
const mistakesMax = 100
const exitCodes = { failed: 1, usage: 2 } as const

function explainUsage(): void {
  process.stderr.write(
    'usage: gateway --config FILE --state DIR --vault-socket PATH --vault-token-file PATH [--isolation-level 0-3] [--accept-configuration | --own-configuration] [--exit-with-parent | --service]\n       gateway --check --config FILE\n',
  )
  process.exitCode = exitCodes.usage
}

/** Every mistake with its line and a hint; null, and exit code 2, when there is one. */
function loadConfig(path: string): Config | null {
  const read = readConfig(path)
  if (read.ok) return read.config
  for (const { line, column, what, hint } of read.mistakes.slice(0, mistakesMax)) {
    // Keys of the file are quoted, and whoever wrote them need not be whoever reads this.
    process.stderr.write(`${path}:${line}:${column}: ${visibleLine(what)}\n    ${visibleLine(hint)}\n`)
  }
  if (read.mistakes.length > mistakesMax) process.stderr.write(`and ${read.mistakes.length - mistakesMax} more\n`)
  process.exitCode = exitCodes.usage
  return null
}

/** Reads the command line, starts the gate, says that it is ready, and stops it when asked or when whoever started it is gone. */
export async function runProcess(
  words: readonly string[],
  startGate: (options: GateOptions) => Promise<RunningGate>,
): Promise<void> {
  const { values } = parseArgs({
    args: [...words],
    options: {
      config: { type: 'string' },
      state: { type: 'string' },
      'vault-socket': { type: 'string' },
      'vault-token-file': { type: 'string' },
      'isolation-level': { type: 'string', default: '0' },
      'exit-with-parent': { type: 'boolean', default: false },
      drill: { type: 'boolean', default: false },
      'accept-configuration': { type: 'boolean', default: false },
      'own-configuration': { type: 'boolean', default: false },
      service: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
    },
  })
  const { config: path, state, 'vault-socket': vaultSocket, 'vault-token-file': vaultTokenFile } = values
  const config = path === undefined ? null : loadConfig(path)
  if (path === undefined) return explainUsage()
  if (config === null || values.check) return
  if (state === undefined || vaultSocket === undefined || vaultTokenFile === undefined) return explainUsage()
  const isolationLevel = levels.find((level) => String(level) === values['isolation-level']) ?? 0
  const report = (problem: string): void => void process.stderr.write(`${new Date().toISOString()} ${problem}\n`)
  const gate = await startGate({
    config,
    stateDirectory: resolve(state),
    vaultSocket,
    vaultTokenFile,
    isolationLevel,
    drill: values.drill,
    acceptConfiguration: values['accept-configuration'],
    ownConfiguration: values['own-configuration'],
    report,
  })
  let closing: Promise<void> | null = null
  const stop = (drainMs: number): void => {
    closing ??= gate.close(drainMs).then(
      () => process.exit(0),
      (error: unknown) => {
        report(`The gate did not stop cleanly: ${error instanceof Error ? error.message : 'unknown'}`)
        process.exit(exitCodes.failed)
      },
    )
  }
  process.once('SIGTERM', () => stop(config.drainMs))
  process.once('SIGINT', () => stop(0))
  if (values['exit-with-parent'])
    process.stdin
      .resume()
      .once('end', () => stop(0))
      .once('close', () => stop(0))
  const { controlUrl, postgresAddress, httpAddress, enrolmentUrl, proposed } = gate
  if (values.service) announceService(resolve(state), resolve(path), gate)
  // What a service prints is kept for others to read: the link for the first person is not for them.
  const link = values.service ? null : enrolmentUrl
  process.stdout.write(
    `${JSON.stringify({ ready: true, controlUrl, postgresAddress, httpAddress, enrolmentUrl: link, proposed })}\n`,
  )
}

/** What a process says that could not start, without a stack and without a secret. */
export function explainFailure(error: unknown): string {
  if (error instanceof SallyportError) return `The gate did not start: ${error.message} ${error.notDone} ${error.next}\n`
  return `The gate did not start: ${error instanceof Error ? error.message : 'unknown error'}\n`
}
