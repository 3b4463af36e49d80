import { existsSync, lstatSync, readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { parseScope } from '@sallyport/core'
import { isMap, isSeq } from 'yaml'
import { namesUnder, openConfigurationFile, protocolOf, readReferences, type ConfigurationFile } from './configuration-file.ts'
import { parseDatabaseUrl } from './database-url.ts'
import { surveyDatabase } from './database-survey.ts'
import { toFailure } from './failure.ts'
import { examineHttpUpstream } from './http-examination.ts'
import { bad, good, note, type Finding } from './finding.ts'
import type { Isolation } from './isolation.ts'
import { examineRoles } from './provision/role-examination.ts'
import { resolveReference } from './reference.ts'
import { agentAuthorityFile } from './state-directory.ts'

const entriesMax = 20_000

/** Everything under the state that another user of this machine could read or change. Databases' own files have their own owner and rules. */
export function examineModes(stateDirectory: string): readonly Finding[] {
  if (!existsSync(stateDirectory)) return [note('files', `There is no state in ${stateDirectory} yet.`, null)]
  const open: string[] = []
  const skipped = new Set([join(stateDirectory, 'playground')])
  // For everybody to see, and for nobody else to write.
  const certificate = agentAuthorityFile(stateDirectory)
  const queue = [stateDirectory]
  for (let path = queue.pop(), seen = 0; path !== undefined && seen < entriesMax; path = queue.pop(), seen++) {
    const status = lstatSync(path)
    // A folder may be passed through (0711) so that a server of another user finds its own; it may not be listed or written to.
    const closedTo = status.isDirectory() ? 0o066 : path === certificate ? 0o033 : 0o077
    if ((status.mode & closedTo) !== 0 && !status.isSymbolicLink()) open.push(relative(stateDirectory, path) || '.')
    if (!status.isDirectory() || skipped.has(path)) continue
    try {
      queue.push(...readdirSync(path).map((name) => join(path, name)))
    } catch {
      // Not ours to list, and so not open to others through us.
    }
  }
  if (open.length === 0)
    return [good('files', 'Keys, store, log and credentials under the state are readable by their owner only.')]
  return [
    bad(
      'files',
      `Others can read or change ${open.length} files under the state: ${open.slice(0, 5).join(', ')}.`,
      `chmod -R go-rwx ${stateDirectory}`,
    ),
  ]
}

/** The configuration, as far as it can be judged without the gate. */
export async function examineConfiguration(path: string, isolation: Isolation): Promise<readonly Finding[]> {
  if (!existsSync(path))
    return [note('configuration', `There is no ${path}; \`sallyport up\` would start a playground.`, 'sallyport init')]
  let file: ConfigurationFile
  try {
    file = openConfigurationFile(path)
  } catch (error) {
    const failure = toFailure(error)
    return [bad('configuration', failure.message, failure.next)]
  }
  const findings = [
    ...examineMode(file),
    ...examineScopes(file),
    ...examineRisk(file, isolation),
    ...(await examineUpstreams(file)),
    ...(await examineRoles(file, Date.now())),
  ]
  return findings.some(({ about, verdict }) => about === 'configuration' && verdict === 'bad')
    ? findings
    : [good('configuration', `${path} can be read.`), ...findings]
}

function examineMode(file: ConfigurationFile): readonly Finding[] {
  if (file.document.get('mode') === 'team')
    return [good('people', 'Team mode: an owner never approves their own agent’s request alone.')]
  return [
    note(
      'people',
      'Solo mode: four-eyes is off. The owner approves alone, after a cool-off that anyone can cancel.',
      'mode: team, when there are two of you',
    ),
  ]
}

function examineScopes(file: ConfigurationFile): readonly Finding[] {
  const upstreams = namesUnder(file, 'upstreams')
  const findings: Finding[] = []
  if (upstreams.length === 0) findings.push(bad('configuration', 'No upstream is configured.', 'sallyport upstream add NAME'))
  for (const agent of namesUnder(file, 'agents')) {
    const may: unknown = file.document.getIn(['agents', agent, 'may'])
    const scopes: unknown = isSeq(may) ? may.toJSON() : []
    for (const scope of Array.isArray(scopes) ? scopes : []) findings.push(...examineScope(agent, String(scope), upstreams))
  }
  return findings
}

function examineScope(agent: string, text: string, upstreams: readonly string[]): readonly Finding[] {
  const scope = parseScope(text)
  if (typeof scope === 'string') return [bad('configuration', `Agent ${agent}: ${scope}.`, 'Write it like `read orders-db`.')]
  if (upstreams.includes(scope.upstream)) return []
  return [
    bad(
      'configuration',
      `Agent ${agent} may do something on "${scope.upstream}", but no upstream is called that.`,
      `Upstreams are: ${upstreams.join(', ') || 'none'}.`,
    ),
  ]
}

/** Production below level 2 is somebody's decision, written down (DESIGN §6): a finding that is bad keeps `up` from starting. */
export function examineRisk(file: ConfigurationFile, isolation: Isolation): readonly Finding[] {
  const accepted: unknown = file.document.get('accept_risk')
  const words: unknown = isSeq(accepted) ? accepted.toJSON() : []
  // Who accepts the worst accepts what is better.
  const isAccepted = Array.isArray(words) && words.some((word) => word === 'level-0' || word === `level-${isolation.level}`)
  const production = namesUnder(file, 'upstreams').filter(
    (name) => (file.document.getIn(['upstreams', name, 'environment']) ?? 'production') === 'production',
  )
  if (isolation.level >= 2 || production.length === 0) return []
  const what = `Production (${production.join(', ')}) stands behind a gate at isolation level ${isolation.level}`
  if (isAccepted) return [note('risk', `${what}; accept_risk says that is accepted.`, isolation.mend[0] ?? null)]
  return [
    bad(
      'risk',
      `${what}, and nobody has accepted that.`,
      `${isolation.mend[0] ?? 'Raise the level'}, or write accept_risk: [level-${isolation.level}]`,
    ),
  ]
}

async function examineUpstreams(file: ConfigurationFile): Promise<readonly Finding[]> {
  const references = readReferences(file)
  const findings: Finding[] = []
  for (const name of namesUnder(file, 'upstreams')) {
    if (!isMap(file.document.getIn(['upstreams', name], true))) continue
    const use = references.find(({ upstream, role }) => upstream === name && role === 'use')?.reference
    const protect = references.find(({ upstream, role }) => upstream === name && role === 'protect')?.reference
    if (use === undefined)
      findings.push(bad(name, `Upstream ${name} has no \`use\` credential.`, 'use: file:secrets/… or env:NAME'))
    else if (protocolOf(file, name) === 'http') {
      findings.push(...(await examineHttpUpstream(file, name, use)))
      continue
    } else findings.push(await examineUpstream(name, use, dirname(file.path)))
    if (use !== undefined && (protect === undefined || protect === use)) {
      findings.push(
        note(
          name,
          `Upstream ${name} makes its copies with the credential agents’ work runs on.`,
          'a second role for copies, as `protect`',
        ),
      )
    }
  }
  return findings
}

async function examineUpstream(name: string, reference: string, folder: string): Promise<Finding> {
  try {
    const survey = await surveyDatabase(parseDatabaseUrl(await resolveReference(reference, folder)))
    if (survey.superuser)
      return note(
        name,
        `${name} answers (PostgreSQL ${survey.version}), as a superuser: the gate is the only fence.`,
        'a role that owns what agents work on, and no more',
      )
    return good(name, `${name} answers: PostgreSQL ${survey.version}, ${survey.tables} tables, no superuser.`)
  } catch (error) {
    const failure = toFailure(error)
    return bad(name, `${name}: ${failure.message}`, failure.next)
  }
}
