import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { isMap } from 'yaml'
import { readReferences, requireName, type ConfigurationFile } from '../configuration-file.ts'
import { parseDatabaseUrl, type DatabaseUrl } from '../database-url.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { resolveReference } from '../reference.ts'
import { writePrivateFile } from '../state-directory.ts'

/** Where an agent's own credential for an upstream lies, and what the configuration says about it. */
export interface AgentCredential {
  readonly path: string
  /** What `as` says when it is ours. */
  readonly reference: string
  /** What `as` says now; null: nothing. */
  readonly configured: string | null
  readonly isWritten: boolean
}

/** @throws CommandFailure when the name of the file would be another's, or `as` names what this command did not write */
export function findAgentCredential(file: ConfigurationFile, upstream: string, agent: string): AgentCredential {
  for (const one of [upstream, agent]) requireName(one)
  const name = `${upstream}.${agent}.use`
  const reference = `file:secrets/${name}`
  const path = join(dirname(file.path), 'secrets', name)
  const references = readReferences(file)
  const configured = references.find((one) => one.upstream === upstream && one.agent === agent)?.reference ?? null
  if (configured !== null && configured !== reference)
    throw taken(`upstreams.${upstream}.as.${agent} in ${file.path} names a credential that this command did not write`)
  // Names may hold dots: a.b of c and a of b.c would share a file.
  const other = references.find((one) => one.reference === reference && (one.upstream !== upstream || one.agent !== agent))
  if (other !== undefined) throw taken(`${reference} is the credential of ${other.upstream} already`)
  return { path, reference, configured, isWritten: existsSync(path) }
}

function taken(what: string): CommandFailure {
  return new CommandFailure(
    exitCodes.usage,
    'exists',
    `${what}.`,
    'No role was made and nothing was changed.',
    'Take that line out, or give the agent another name.',
  )
}

/** The URL in it; null when there is none. */
export async function readAgentCredential(credential: AgentCredential): Promise<DatabaseUrl | null> {
  if (!credential.isWritten) return null
  return parseDatabaseUrl(await resolveReference(`file:${credential.path}`, dirname(credential.path)))
}

/** What the upstream's `use` says: the way by which the gate gets there. */
export async function readShared(file: ConfigurationFile, upstream: string): Promise<DatabaseUrl> {
  const reference = readReferences(file).find((one) => one.upstream === upstream && one.role === 'use')?.reference
  if (reference === undefined) {
    throw new CommandFailure(
      exitCodes.usage,
      'unreadable',
      `Upstream ${upstream} has no \`use\` credential in ${file.path}.`,
      'No role was made and nothing was changed.',
      'Name it there: use: file:secrets/… or env:NAME',
    )
  }
  return parseDatabaseUrl(await resolveReference(reference, resolve(dirname(file.path))))
}

/** The same way as another role. */
export function withLogin(way: DatabaseUrl, user: string, password: string): DatabaseUrl {
  const url = new URL(way.url)
  url.username = encodeURIComponent(user)
  url.password = encodeURIComponent(password)
  return parseDatabaseUrl(url.href)
}

export function writeAgentCredential({ path }: AgentCredential, { url }: DatabaseUrl): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writePrivateFile(path, `${url}\n`)
}

export function removeAgentCredential({ path }: AgentCredential): void {
  rmSync(path, { force: true })
}

/** The caller saves. @param reference null takes the line out */
export function setAgentCredential(
  { document }: ConfigurationFile,
  upstream: string,
  agent: string,
  reference: string | null,
): void {
  const at = ['upstreams', upstream, 'as']
  const present: unknown = document.getIn(at, true)
  if (reference !== null) {
    if (!isMap(present)) document.setIn(at, document.createNode({ [agent]: reference }))
    else document.setIn([...at, agent], reference)
    return
  }
  if (!isMap(present)) return
  document.deleteIn([...at, agent])
  if (present.items.length === 0) document.deleteIn(at)
}
