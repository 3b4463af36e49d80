import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { compiledCode, frugalMemory } from './compiled-code.ts'
import { CommandFailure, exitCodes } from './failure.ts'
import type { Isolation, IsolationLevel } from './isolation.ts'
import { startPlayground, type Playground } from './playground/playground.ts'
import { interrupted, startChild, type Child, type Ended } from './process-child.ts'
import { readVaultFlags } from './vault-flags.ts'
import { findVaultUser } from './vault-user.ts'
import { isAlive, readRun, removeRun, writeRun, type Run } from './state-directory.ts'

/** Files of the programs that `up` starts. */
export interface Programs {
  readonly gateway: string
  readonly vault: string
}

export interface GateSettings {
  readonly stateDirectory: string
  /** Absolute. Null: a playground. */
  readonly configuration: string | null
  readonly acceptConfiguration: boolean
  readonly programs: Programs
  /** Asked once the folders are as they will be: how far agents stand from this gate. */
  readonly judgeIsolation: () => Isolation
  readonly nowMs: () => number
  /** Aborts the start. */
  readonly signal: AbortSignal
}

/** Gate, vault and, in a playground, the database: up and ready. */
export interface RunningGate {
  readonly run: Run
  readonly isolation: Isolation
  /** One-time link for the first person; null when somebody is enrolled already. */
  readonly enrolmentUrl: string | null
  readonly playground: Playground | null
  /** What the configuration file gives beyond what is in force, a line each. */
  readonly proposed: readonly string[]
  /** Which of them ended first, and how. Nothing of ours works without all of them. */
  readonly ended: Promise<{ readonly child: Child; readonly how: Ended }>
  /** Gate, then vault, then database: nothing may write to what is gone. */
  stop(): Promise<void>
  /** At once, and nothing is left behind; for a person who presses Ctrl-C again. */
  kill(): void
}

/** What the gateway says when it is ready. */
const readyShape = z.object({
  controlUrl: z.url(),
  postgresAddress: z.string(),
  httpAddress: z.string().nullish(),
  enrolmentUrl: z.string().nullish(),
  proposed: z.array(z.string()).default([]),
})

const gatewayReadyMs = 20_000
const vaultReadyMs = 20_000
const gatewayStopMs = 8_000
const vaultStopMs = 5_000
/** How long processes of a killed `up` may take to notice. */
const leftoverMs = 15_000

/** A Unix socket's path holds 108 bytes with its end; less on some systems. */
const socketPathBytesMax = 100

const playgroundPostgresPort = 6432
const playgroundControlPort = 6480
const playgroundHttpPort = 6443

export async function startGate(settings: GateSettings): Promise<RunningGate> {
  const { stateDirectory, signal } = settings
  await waitForLeftovers(stateDirectory)
  const started: Child[] = []
  const place = meetingPlace(stateDirectory)
  const tidy = (): void => {
    place.leave()
    removeRun(stateDirectory)
  }
  try {
    const [vault, playground] = await startBoth(settings, place)
    if (playground) started.push(playground.server)
    started.push(vault)
    if (signal.aborted) throw interrupted()
    const configuration = playground?.configuration ?? settings.configuration
    if (configuration === null) throw new Error('neither a configuration nor a playground')
    const isolation = settings.judgeIsolation()
    const gateway = await startGateway(settings, configuration, place, isolation.level)
    started.push(gateway)
    const ready = readyShape.parse(gateway.ready)
    const run: Run = {
      controlUrl: ready.controlUrl,
      postgresAddress: ready.postgresAddress,
      ...(ready.httpAddress ? { httpAddress: ready.httpAddress } : {}),
      cliPid: process.pid,
      gatewayPid: gateway.pid,
      vaultPid: vault.pid,
      ...(playground ? { postgresPid: playground.server.pid, postgresPort: playground.port } : {}),
      configuration,
      startedAtMs: settings.nowMs(),
    }
    writeRun(stateDirectory, run)
    return assemble(
      { run, isolation, enrolmentUrl: ready.enrolmentUrl ?? null, playground, proposed: ready.proposed },
      started,
      tidy,
    )
  } catch (error) {
    await stopInOrder(started)
    tidy()
    throw error
  }
}

type Facts = Pick<RunningGate, 'run' | 'isolation' | 'enrolmentUrl' | 'playground' | 'proposed'>

function assemble(facts: Facts, started: readonly Child[], tidy: () => void): RunningGate {
  return {
    ...facts,
    ended: Promise.race(started.map(async (child) => ({ child, how: await child.ended }))),
    async stop() {
      await stopInOrder(started)
      tidy()
    },
    kill() {
      for (const child of started) child.kill()
      tidy()
    },
  }
}

/** Last started, first stopped. */
async function stopInOrder(started: readonly Child[]): Promise<void> {
  for (const child of started.toReversed()) await child.stop()
}

/** The vault and the playground do not need each other; when one fails the other is stopped. */
async function startBoth(settings: GateSettings, place: MeetingPlace): Promise<[Child, Playground | null]> {
  const { stateDirectory, signal } = settings
  const [vault, playground] = await Promise.allSettled([
    startVault(settings, place),
    settings.configuration !== null
      ? null
      : startPlayground({
          stateDirectory,
          anchor: startOfDay(settings.nowMs()),
          postgresPort: playgroundPostgresPort,
          controlPort: playgroundControlPort,
          httpPort: playgroundHttpPort,
          signal,
        }),
  ])
  if (vault.status === 'fulfilled' && playground.status === 'fulfilled') return [vault.value, playground.value]
  if (vault.status === 'fulfilled') await vault.value.stop()
  if (playground.status === 'fulfilled') await playground.value?.server.stop()
  throw vault.status === 'rejected' ? vault.reason : playground.status === 'rejected' ? playground.reason : interrupted()
}

function startOfDay(nowMs: number): Date {
  const dayMs = 86_400_000
  return new Date(Math.floor(nowMs / dayMs) * dayMs)
}

/** Where gate and vault meet. The vault makes the token; only the gate's user can read it or enter the socket's folder. */
interface MeetingPlace {
  readonly socket: string
  readonly tokenFile: string
  /** Takes away what was made outside the state. */
  leave(): void
}

function meetingPlace(stateDirectory: string): MeetingPlace {
  const tokenFile = join(stateDirectory, 'vault.token')
  const inState = join(stateDirectory, 'run', 'vault.sock')
  if (Buffer.byteLength(inState) <= socketPathBytesMax) return { socket: inState, tokenFile, leave: () => undefined }
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-'))
  return { socket: join(folder, 'vault.sock'), tokenFile, leave: () => rmSync(folder, { recursive: true, force: true }) }
}

function startVault({ stateDirectory, programs, signal, configuration }: GateSettings, place: MeetingPlace): Promise<Child> {
  const user = findVaultUser(stateDirectory)
  // The state may then be passed through, not listed; files in it stay 0600.
  if (user !== null) chmodSync(stateDirectory, 0o711)
  const flags = readVaultFlags(configuration)
  return startChild({
    name: 'vault',
    command: process.execPath,
    args: [
      programs.vault,
      'serve',
      `--dir=${join(stateDirectory, 'vault')}`,
      `--socket=${place.socket}`,
      `--token-file=${place.tokenFile}`,
      // With a user of its own there is somebody to fasten copies against; else whoever removes the state must be able to.
      ...(user === null ? [] : [`--user=${user}`, '--immutable']),
      ...flags.stores,
      ...flags.serve,
      '--while-stdin-open',
    ],
    // No upstream credential that our environment may hold is the vault's business.
    env: { PATH: process.env['PATH'] ?? '', TZ: process.env['TZ'] ?? '', ...compiledCode() },
    logFile: join(stateDirectory, 'logs', 'vault.log'),
    readyTimeoutMs: vaultReadyMs,
    stopTimeoutMs: vaultStopMs,
    signal,
  })
}

function startGateway(
  { stateDirectory, programs, signal, acceptConfiguration, configuration: given }: GateSettings,
  configuration: string,
  place: MeetingPlace,
  isolationLevel: IsolationLevel,
): Promise<Child> {
  return startChild({
    name: 'gate',
    command: process.execPath,
    args: [
      programs.gateway,
      `--config=${configuration}`,
      `--state=${stateDirectory}`,
      `--vault-socket=${place.socket}`,
      `--vault-token-file=${place.tokenFile}`,
      `--isolation-level=${isolationLevel}`,
      // A playground's configuration is our own.
      ...(given === null ? ['--own-configuration'] : []),
      ...(acceptConfiguration ? ['--accept-configuration'] : []),
      '--exit-with-parent',
    ],
    // `env:` references are read from it.
    env: { ...frugalMemory, ...process.env, ...compiledCode() },
    logFile: join(stateDirectory, 'logs', 'gateway.log'),
    readyTimeoutMs: gatewayReadyMs,
    stopTimeoutMs: gatewayStopMs,
    signal,
  })
}

/** We hold the start lock, so processes of an earlier run are on their way out: they saw their parent go. They still hold ports and locks. */
async function waitForLeftovers(stateDirectory: string): Promise<void> {
  const run = readRun(stateDirectory)
  if (run === null) return
  const deadline = Date.now() + leftoverMs
  for (const pid of [run.gatewayPid, run.vaultPid]) {
    while (isOurs(pid)) {
      if (Date.now() > deadline) {
        throw new CommandFailure(
          exitCodes.failed,
          'already_running',
          `Process ${pid} of an earlier run still holds this state and does not end.`,
          'No second gate was started.',
          `End it with \`kill ${pid}\`, then start again.`,
        )
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  removeRun(stateDirectory)
}

/** After a reboot the number may be anybody's; where the system shows command lines, look. */
function isOurs(pid: number): boolean {
  if (!isAlive(pid)) return false
  const file = `/proc/${pid}/cmdline`
  if (!existsSync(file)) return process.platform !== 'linux'
  const words = readFileSync(file, 'utf8')
  return words.includes('--exit-with-parent') || words.includes('--while-stdin-open')
}
