import { resolve } from 'node:path'
import { Command } from 'commander'
import { z } from 'zod'
import { credentialFiles } from '../configuration-file.ts'
import { connectControl } from '../control-client.ts'
import { examineContinuous } from '../continuous-examination.ts'
import { examineConfiguration, examineModes } from '../examination.ts'
import { bad, good, note, type Finding } from '../finding.ts'
import { examineGates } from '../gates-examination.ts'
import { exitCodes, toFailure } from '../failure.ts'
import { describeStorage, describeTarget, readTargets } from '../keeping.ts'
import { judgeIsolation, levelWorth, readIsolationFacts, stateSecrets, type Isolation } from '../isolation.ts'
import { isAlive, isClosedToUs, readRun, stateOption } from '../state-directory.ts'
import { examineVault } from '../vault-examination.ts'

const optionsShape = z.object({ config: z.string().optional(), state: z.string(), json: z.boolean().default(false) })

export function makeCommand(): Command {
  return new Command('doctor')
    .description(
      'Says which isolation level holds for the user who runs it (run it as the agent’s user), what that is worth, what else is wrong, and how to mend it.',
    )
    .option('--config <file>', 'the configuration (default: of the running gate, else sallyport.yaml)')
    .addOption(stateOption())
    .option('--json', 'one JSON object: isolation, findings')
    .addHelpText(
      'after',
      `\nIsolation levels:\n${Object.entries(levelWorth)
        .map(([level, worth]) => `  ${level}  ${worth}`)
        .join('\n')}`,
    )
    .action(async (given: unknown) => examine(optionsShape.parse(given)))
}

async function examine(options: z.infer<typeof optionsShape>): Promise<void> {
  const stateDirectory = resolve(options.state)
  const run = readRun(stateDirectory)
  const isRunning = run !== null && isAlive(run.gatewayPid)
  const configuration = resolve(options.config ?? (isRunning ? run.configuration : 'sallyport.yaml'))
  const secretFiles = [...stateSecrets(stateDirectory), ...credentialFiles(configuration)]
  const isolation = judgeIsolation(
    readIsolationFacts({ stateDirectory, gatewayPid: isRunning ? run.gatewayPid : null, secretFiles }),
  )
  const findings: Finding[] = [
    examineNode(),
    isRunning ? await examineGate(stateDirectory) : describeAbsence(stateDirectory),
    ...(isRunning ? await examineOwners(stateDirectory) : []),
    ...(isRunning ? await examineDeliveries(stateDirectory) : []),
    ...(isRunning ? await examineGates(() => connectControl(stateDirectory)) : []),
    ...(isRunning ? await examineTargets(stateDirectory) : []),
    ...(isRunning ? await examineContinuous(stateDirectory) : []),
    ...examineVault(stateDirectory, configuration),
    ...examineModes(stateDirectory),
    ...(await examineConfiguration(configuration, isolation)),
  ]
  const isWell = isolation.waysAround.length === 0 && findings.every(({ verdict }) => verdict !== 'bad')
  process.exitCode = isWell ? exitCodes.ok : exitCodes.failed
  process.stdout.write(options.json ? `${JSON.stringify({ isolation, findings })}\n` : describe(isolation, findings))
}

function examineNode(): Finding {
  const major = Number(process.versions.node.split('.')[0])
  if (major >= 24) return good('node', `Node ${process.versions.node}.`)
  return bad(
    'node',
    `This is Node ${process.versions.node}; Sallyport is made for the Node 24 that npm ci installs.`,
    'npm ci, then start it by `npx sallyport`',
  )
}

function describeAbsence(stateDirectory: string): Finding {
  if (isClosedToUs(stateDirectory)) return good('gate', `The gate’s state in ${stateDirectory} is closed to this user.`)
  return note('gate', `No gate runs with its state in ${stateDirectory}.`, 'sallyport up')
}

async function examineGate(stateDirectory: string): Promise<Finding> {
  try {
    const control = await connectControl(stateDirectory)
    await control.get('/api/v1/status', z.unknown())
    return good(
      'gate',
      `The gate answers at ${control.run.controlUrl}; agents connect to ${control.run.postgresAddress}${control.run.httpAddress === undefined ? '' : ` and ${control.run.httpAddress}`}.`,
    )
  } catch (error) {
    const failure = toFailure(error)
    return bad('gate', failure.message, failure.next)
  }
}

function describe(isolation: Isolation, findings: readonly Finding[]): string {
  const lines = [`Isolation level ${isolation.level}: ${isolation.worth}.`]
  if (isolation.waysAround.length > 0) {
    lines.push('', 'This agent can walk around Sallyport:', ...isolation.waysAround.map((way) => `  - ${way}`))
    lines.push('', 'How to mend it:', ...isolation.mend.map((step) => `  - ${step}`))
  }
  lines.push('')
  const words = { good: 'ok  ', note: 'note', bad: 'BAD ' } as const
  for (const { verdict, what, mend } of findings) {
    lines.push(`${words[verdict]}  ${what}`)
    if (mend !== null) lines.push(`      mend: ${mend}`)
  }
  return `${lines.join('\n')}\n`
}

const ownersShape = z.object({ unknownOwners: z.array(z.object({ owner: z.string(), agents: z.array(z.string()) })).default([]) })

/** In team mode, owners whom the gate cannot tell from an approver. That the gate can't be asked is said elsewhere. */
async function examineOwners(stateDirectory: string): Promise<readonly Finding[]> {
  try {
    const control = await connectControl(stateDirectory)
    const { unknownOwners } = await control.get('/api/v1/status', ownersShape)
    return unknownOwners.map(({ owner, agents }) =>
      bad(
        'people',
        `Nobody is enrolled as ${owner}, who owns ${agents.join(', ')}: until somebody is, nobody can approve what these agents ask.`,
        'Enrol the owner under that name, or name somebody who is enrolled as the owner in sallyport.yaml.',
      ),
    )
  } catch {
    return []
  }
}

const deliveriesShape = z.object({
  deliveries: z
    .array(z.object({ name: z.string(), behind: z.number(), failures: z.number(), why: z.string().nullable() }))
    .default([]),
})

/** Who is to be told what happens, and is not: a question that nobody hears of is answered with a no. */
async function examineDeliveries(stateDirectory: string): Promise<readonly Finding[]> {
  try {
    const control = await connectControl(stateDirectory)
    const { deliveries } = await control.get('/api/v1/status', deliveriesShape)
    return deliveries.map(({ name, behind, failures, why }) =>
      failures === 0
        ? good('delivery', `${name} is told what happens.`)
        : bad(
            'delivery',
            `${name} was not told ${failures} ${failures === 1 ? 'time' : 'times'} in a row (${why ?? 'no reason'}); ${behind} events wait for it.`,
            `Look at what \`deliver: ${name}\` in sallyport.yaml leads to; nothing is lost until then.`,
          ),
    )
  } catch {
    return []
  }
}

/** What would be lost right now, and how long bringing it back took. */
async function examineTargets(stateDirectory: string): Promise<readonly Finding[]> {
  try {
    const { targets, storage } = await readTargets(await connectControl(stateDirectory))
    const room = storage === null ? [] : [note('copies', describeStorage(storage), null)]
    const findings = targets.map((target) => {
      const { name, newestCopy, lastDrill, drilled } = target
      const what = `${describeTarget(target)}.`
      if (!drilled || lastDrill?.passed === false) return bad('recovery', what, `sallyport drill restore ${name}`)
      if (newestCopy === null)
        return note('recovery', what, `sallyport vault copy ${name}, and \`keep: copy: every 1d\` in sallyport.yaml`)
      if (lastDrill === null) return note('recovery', what, `sallyport drill restore ${name}, and \`keep: drill: every 7d\``)
      return good('recovery', what)
    })
    const onlyCopied = targets.filter(({ kind, stream }) => kind === 'database' && stream === null)
    return [...findings, ...onlyCopied.map(({ name }) => noteUnstreamed(name)), ...room]
  } catch {
    return []
  }
}

/** It is not on by itself: docs/decisions/continuous-protection-is-asked-for.md. */
function noteUnstreamed(name: string): Finding {
  const what = `${name} is not protected continuously: between two copies, only what a statement would lose is copied, when it runs.`
  return note('continuous', what, 'Add `continuous: {}` to it; docs/how-to/continuous.md says what the server needs')
}
