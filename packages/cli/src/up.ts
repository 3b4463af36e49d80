import { execFile } from 'node:child_process'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connectControl } from './control-client.ts'
import { watchContinuous } from './continuous-words.ts'
import { issuedShape, paths } from './control-api.ts'
import { CommandFailure, exitCodes, type ExitCode } from './failure.ts'
import { startGate, type Programs, type RunningGate } from './gate-processes.ts'
import { credentialFiles, openConfigurationFile } from './configuration-file.ts'
import { examineRisk } from './examination.ts'
import { judgeIsolation, readIsolationFacts, readIsolationFactsOf, stateSecrets, type Isolation } from './isolation.ts'
import { takeStartLock } from './start-lock.ts'
import { makePrivateFolder, readRun, writePrivateFile } from './state-directory.ts'
import { describeWelcome, type Welcome } from './welcome.ts'

export interface UpSettings {
  /** As given; null: `sallyport.yaml` here if there is one, else a playground. */
  readonly configuration: string | null
  readonly stateDirectory: string
  readonly json: boolean
  /** What the configuration gives beyond the one that ran last is wanted. */
  readonly acceptConfiguration?: boolean
  /** The user that agents run as; null: taken to be whoever starts the gate. */
  readonly agentUser: string | null
  readonly programs: Programs
  readonly nowMs: () => number
  readonly write: (text: string) => void
}

/** The gate and the vault of this checkout. */
export const shippedPrograms: Programs = {
  gateway: fileURLToPath(new URL('../../gateway/bin/gateway.js', import.meta.url)),
  vault: fileURLToPath(new URL('../../vault/src/main.ts', import.meta.url)),
}

const trialHandleMs = 3_600_000

/** Starts everything, says so, and stays until a signal or until one of the processes ends. */
export async function runUp(settings: UpSettings): Promise<ExitCode> {
  const configuration = findConfiguration(settings.configuration)
  if (configuration !== null) await checkConfiguration(settings.programs.gateway, configuration)
  makePrivateFolder(settings.stateDirectory)
  const stateDirectory = realpathSync(settings.stateDirectory)
  const lock = takeStartLock(stateDirectory)
  if (lock === null) throw alreadyRunning(stateDirectory)
  const interruption = new AbortController()
  const stopWatching = new AbortController()
  let gate: RunningGate | null = null
  const stopSignals = listenForSignals(interruption, () => gate?.kill())
  try {
    keepToConfiguration(stateDirectory, configuration)
    const startedAtMs = settings.nowMs()
    const { programs, nowMs } = settings
    const examine = (): Isolation => {
      const isolation = examineIsolation(settings.agentUser, stateDirectory, configuration)
      if (configuration !== null) requireAcceptedRisk(configuration, isolation)
      return isolation
    }
    gate = await startGate({
      stateDirectory,
      configuration,
      acceptConfiguration: settings.acceptConfiguration === true,
      programs,
      judgeIsolation: examine,
      nowMs,
      signal: interruption.signal,
    })
    settings.write(await describeReady(settings, gate, stateDirectory, startedAtMs))
    const watching = watchContinuous(stateDirectory, (line) => void process.stderr.write(line), stopWatching.signal)
    const ended = await Promise.race([gate.ended, whenAborted(interruption.signal)])
    stopWatching.abort()
    await watching
    await gate.stop()
    if (ended === null) return exitCodes.ok
    throw endedFailure(ended.child.name, ended.child.lastLines(), stateDirectory)
  } finally {
    stopSignals()
    lock.release()
  }
}

/** Asks the gateway itself, before anything is started: a configuration with mistakes starts nothing. */
function checkConfiguration(gateway: string, configuration: string): Promise<void> {
  return new Promise((resolved, reject) => {
    execFile(process.execPath, [gateway, '--check', '--config', configuration], (error, _stdout, stderr) => {
      if (error === null) resolved()
      else
        reject(
          new CommandFailure(
            exitCodes.usage,
            'bad_configuration',
            stderr.trim(),
            'Nothing was started.',
            'Mend the configuration, then start again.',
          ),
        )
    })
  })
}

function findConfiguration(given: string | null): string | null {
  if (given !== null && !existsSync(given)) {
    throw new CommandFailure(
      exitCodes.usage,
      'no_configuration',
      `There is no configuration file ${given}.`,
      'Nothing was started.',
      'Write one with `sallyport init`, or leave --config out for a playground.',
    )
  }
  const path = given ?? 'sallyport.yaml'
  return existsSync(path) ? resolve(path) : null
}

/** A state that served somebody's own upstreams is never a playground's by accident: a sallyport.yaml that is gone is no answer to what may run. */
function keepToConfiguration(stateDirectory: string, configuration: string | null): void {
  const mark = join(stateDirectory, 'configured')
  if (configuration !== null) return writePrivateFile(mark, `${configuration}\n`)
  if (!existsSync(mark)) return
  throw new CommandFailure(
    exitCodes.usage,
    'no_configuration',
    `The state in ${stateDirectory} is that of ${readFileSync(mark, 'utf8').trim()}, and there is no sallyport.yaml here.`,
    'Nothing was started.',
    'Put the file back, name it with --config, or give a playground another --state.',
  )
}

function alreadyRunning(stateDirectory: string): CommandFailure {
  const run = readRun(stateDirectory)
  const where = run
    ? `: people look at ${run.controlUrl}, agents connect to ${run.postgresAddress} (process ${run.cliPid})`
    : ', and is still starting or stopping'
  return new CommandFailure(
    exitCodes.failed,
    'already_running',
    `A gate already runs with its state in ${stateDirectory}${where}.`,
    'No second one was started.',
    'Use that one, stop it with Ctrl-C where it runs, or give this one another --state.',
  )
}

/** The first signal stops in order, a second one at once. */
function listenForSignals(interruption: AbortController, killAll: () => void): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const onSignal = (): void => {
    if (interruption.signal.aborted) killAll()
    interruption.abort()
  }
  for (const signal of signals) process.on(signal, onSignal)
  return () => {
    for (const signal of signals) process.off(signal, onSignal)
  }
}

function whenAborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null)
    signal.addEventListener('abort', () => resolve(null), { once: true })
  })
}

function endedFailure(name: string, lastLines: readonly string[], stateDirectory: string): CommandFailure {
  const said = lastLines.slice(-10).map((line) => `\n  | ${line}`)
  return new CommandFailure(
    exitCodes.failed,
    'process_ended',
    `The ${name} ended by itself, so everything was stopped.${said.join('')}`,
    'No agent can reach an upstream through this gate now.',
    `Read the logs in ${stateDirectory}/logs, then start again.`,
  )
}

/** The gate will run as we do, and its state is ours. */
function examineIsolation(agentUser: string | null, stateDirectory: string, configuration: string | null): Isolation {
  const secretFiles = [...stateSecrets(stateDirectory), ...(configuration === null ? [] : credentialFiles(configuration))]
  const question = { stateDirectory, gatewayPid: process.pid, secretFiles }
  return judgeIsolation(agentUser === null ? readIsolationFacts(question) : readIsolationFactsOf(agentUser, question))
}

/** A playground's risk is its own. @throws CommandFailure */
function requireAcceptedRisk(configuration: string, isolation: Isolation): void {
  const unaccepted = examineRisk(openConfigurationFile(configuration), isolation).find(({ verdict }) => verdict === 'bad')
  if (unaccepted === undefined) return
  throw new CommandFailure(
    exitCodes.usage,
    'risk_not_accepted',
    unaccepted.what,
    'No agent was let in.',
    `${unaccepted.mend ?? 'Raise the level'}.`,
  )
}

async function describeReady(
  settings: UpSettings,
  gate: RunningGate,
  stateDirectory: string,
  startedAtMs: number,
): Promise<string> {
  const secondsToReady = (settings.nowMs() - startedAtMs) / 1000
  const { isolation } = gate
  const { controlUrl, postgresAddress, httpAddress, configuration } = gate.run
  const trial = await issueTrial(gate, stateDirectory)
  const welcome: Welcome = {
    isolation,
    controlUrl,
    postgresAddress,
    httpAddress: httpAddress ?? null,
    configuration,
    stateDirectory,
    isDefaultState: stateDirectory === resolve('.sallyport'),
    secondsToReady,
    enrolmentUrl: gate.enrolmentUrl,
    proposed: gate.proposed,
    trial,
  }
  return settings.json ? `${JSON.stringify({ ready: true, ...welcome, pid: process.pid })}\n` : describeWelcome(welcome)
}

/** A handle for the playground's agent, so that there is something to paste. The gate is up without it. */
async function issueTrial(gate: RunningGate, stateDirectory: string): Promise<Welcome['trial']> {
  if (gate.playground === null) return null
  const { agent, cloud } = gate.playground
  try {
    const control = await connectControl(stateDirectory)
    const issued = await control.post(paths.handles, { agent, ttlMs: trialHandleMs }, issuedShape)
    return { agent, handle: issued.handle, expiresInMinutes: trialHandleMs / 60_000, volume: cloud.ids.volumes.production }
  } catch (error) {
    process.stderr.write(`warning: no handle to try was issued: ${error instanceof Error ? error.message : String(error)}\n`)
    return null
  }
}
