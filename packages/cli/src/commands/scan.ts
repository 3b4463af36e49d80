import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { visibleLine } from '@sallyport/core'
import { findByUrl } from '@sallyport/connectors'
import { Command } from 'commander'
import { z } from 'zod'
import { CommandFailure, exitCodes } from '../failure.ts'
import { plantCanary, readCanaries, type Canary } from '../scan/canary.ts'
import { governedBy, readGovernedHosts, type GovernedHosts } from '../scan/governed-hosts.ts'
import { Secretlint } from '../scan/secretlint.ts'
import { findTokens, type StrayToken } from '../scan/stray-token.ts'
import { readWorkspace, workspaceLimits, type Skipped } from '../scan/workspace.ts'
import { stateOption } from '../state-directory.ts'

const optionsShape = z.object({
  canary: z.boolean().default(false),
  config: z.string(),
  state: z.string(),
  json: z.boolean().default(false),
})
type Options = z.infer<typeof optionsShape>

export function makeCommand(): Command {
  return new Command('scan')
    .description(
      'Finds credentials that lie in a workspace, where an agent can read them, and says what each would open. Exits with 1 when it found any. Never prints one.',
    )
    .argument('[dir]', 'the workspace', '.')
    .option('--canary', 'plant a token that opens nothing and rings when it is used')
    .option('--config <file>', 'the configuration whose upstreams are governed', 'sallyport.yaml')
    .addOption(stateOption())
    .option('--json', 'one JSON object: findings, scanned, skipped, complete, canary')
    .action((directory: string, given: unknown) => scan(directory, optionsShape.parse(given)))
}

/** A credential, where it lies, and who stands before what it opens. */
interface Finding extends Omit<StrayToken, 'sha256'> {
  readonly file: string
  /** Name of the upstream that governs its host; null when nothing does. */
  readonly governedBy: string | null
  /** The connector that reads what is sent to its host; null when the gate reads none. */
  readonly connector: string | null
  /** True for a token that was planted here. */
  readonly canary: boolean
}

interface Scanned {
  readonly findings: readonly Finding[]
  readonly files: number
  readonly skipped: Skipped
  readonly givenUp: number
}

async function scan(directory: string, options: Options): Promise<void> {
  const root = resolve(directory)
  requireFolder(root)
  const planted = options.canary ? plantCanary(resolve(options.state), root, Date.now()) : null
  const governed = await readGovernedHosts(resolve(options.config))
  const scanned = await scanWorkspace(root, governed, readCanaries(resolve(options.state)))
  const stray = scanned.findings.filter(({ canary }) => !canary)
  const complete = scanned.skipped.beyondLimit === 0 && scanned.skipped.unreadable === 0 && scanned.givenUp === 0
  process.stdout.write(options.json ? describeJson(scanned, complete, planted) : describeText(scanned, complete, planted))
  if (stray.length > 0 || !complete) process.exitCode = exitCodes.failed
}

function requireFolder(root: string): void {
  if (statSync(root, { throwIfNoEntry: false })?.isDirectory()) return
  throw new CommandFailure(
    exitCodes.usage,
    'usage',
    `${root} is no folder.`,
    'Nothing was scanned.',
    'Give the folder that the agent works in.',
  )
}

async function scanWorkspace(root: string, governed: GovernedHosts, canaries: readonly Canary[]): Promise<Scanned> {
  const skipped: Skipped = { binary: 0, tooLarge: 0, unreadable: 0, beyondLimit: 0 }
  const planted = new Set(canaries.map(({ sha256 }) => sha256))
  const secretlint = new Secretlint()
  const findings: Finding[] = []
  let files = 0
  try {
    for (const { path, text } of readWorkspace(root, workspaceLimits, skipped)) {
      files += 1
      for (const { sha256, ...token } of findTokens(text, await secretlint.find(text))) {
        findings.push({
          file: path,
          ...token,
          governedBy: governedBy(governed, token.hosts),
          connector: token.hosts.map((host) => findByUrl(`https://${host}/`)?.id).find((id) => id !== undefined) ?? null,
          canary: planted.has(sha256),
        })
      }
    }
  } finally {
    await secretlint.close()
  }
  return { findings, files, skipped, givenUp: secretlint.givenUp }
}

function describeJson({ findings, files, skipped, givenUp }: Scanned, complete: boolean, planted: Canary | null): string {
  const canary = planted === null ? null : { file: planted.file, host: planted.host, sha256: planted.sha256 }
  return `${JSON.stringify({ findings, scanned: { files }, skipped: { ...skipped, givenUp }, complete, canary })}\n`
}

function describeText({ findings, files, skipped, givenUp }: Scanned, complete: boolean, planted: Canary | null): string {
  const lines = findings.flatMap((finding) => [
    `${finding.file}:${finding.line}  ${finding.kind}${finding.canary ? ' (a canary of yours)' : ''}`,
    `    ${finding.starts}… ${finding.length} characters, sha256 ${finding.sha256Prefix}…; ${describeReach(finding)}`,
  ])
  const stray = findings.filter(({ canary }) => !canary).length
  lines.push(
    stray === 0
      ? `No stray credential in ${files} files.`
      : `${stray} stray ${stray === 1 ? 'credential' : 'credentials'} in ${files} files. Whoever works here can use ${stray === 1 ? 'it' : 'them'}: revoke, then remove.`,
  )
  const left = [
    [skipped.binary, 'binary'],
    [skipped.tooLarge, 'larger than 2 MiB'],
    [skipped.unreadable, 'unreadable'],
    [skipped.beyondLimit, 'beyond a limit of depth or number'],
    [givenUp, 'not read by secretlint’s rules (too long, or too slow)'],
  ] as const
  const not = left.filter(([count]) => count > 0).map(([count, why]) => `${count} ${why}`)
  if (not.length > 0) lines.push(`Not looked at: ${not.join(', ')}.`)
  if (!complete) lines.push('The scan is not complete: that nothing was found there says nothing.')
  if (planted !== null) lines.push(`A canary lies in ${planted.file}. A gate with this state rings when it is used.`)
  return `${lines.map(visibleLine).join('\n')}\n`
}

function describeReach({ hosts, governedBy, connector }: Finding): string {
  if (hosts.length === 0) return 'nothing says what it opens'
  const where = `opens ${hosts.join(', ')}`
  if (governedBy !== null) return `${where}: governed as "${governedBy}", where the gate refuses it as foreign`
  return connector === null
    ? `${where}: no gate stands before it`
    : `${where}: not governed here, though the gate reads it (${connector})`
}
