import { execFileSync } from 'node:child_process'
import { accessSync, constants, existsSync, realpathSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { CommandFailure, exitCodes } from './failure.ts'
import { canReach } from './playground/os-user.ts'

/** How far an agent stands from the gate (DESIGN §6). Level 1 needs a sandbox, 3 another host; what is seen from here is 0 or 2. */
export type IsolationLevel = 0 | 1 | 2 | 3

/** What can be seen of the machine from the user that asks, who is taken to be the agent's. */
export interface IsolationFacts {
  /** Null where the system has no user ids. */
  readonly ourUid: number | null
  /** Owner of the gate's process, or of its state when it does not run. Null: not known. */
  readonly gateUid: number | null
  readonly groups: readonly string[]
  readonly canBecomeRoot: boolean
  /** Key, store, configuration and credential files of the gate's that we can read. */
  readonly readable: readonly string[]
}

export interface Isolation {
  readonly level: IsolationLevel
  /** One sentence: what that is worth. */
  readonly worth: string
  /** Each a way around the gate. Empty at level 2 and up. */
  readonly waysAround: readonly string[]
  readonly mend: readonly string[]
}

export const levelWorth: { readonly [level in IsolationLevel]: string } = {
  0: 'advice only: it stops accidents, not an agent that looks for the credential in the gate’s own files',
  1: 'the agent runs in a sandbox; what the sandbox lets through, the gate does not see',
  2: 'the gate runs as another user, whom the agent’s user cannot become: the agent has no credential but its handle',
  3: 'the gate runs on another host: the agent has no credential but its handle, and no foothold beside the gate',
}

/** Members of these can become root or read any file. */
const groupsThatBecomeRoot = ['root', 'sudo', 'wheel', 'admin', 'docker', 'lxd', 'incus', 'podman', 'disk', 'shadow']

export function judgeIsolation(facts: IsolationFacts): Isolation {
  const waysAround: string[] = []
  if (facts.ourUid === null) waysAround.push('this system has no user ids to keep agent and gate apart')
  if (facts.ourUid === 0) waysAround.push('whoever runs as root can read everything the gate has')
  if (facts.gateUid === null) waysAround.push('it cannot be seen which user the gate runs as')
  if (facts.ourUid !== 0 && facts.ourUid !== null && facts.ourUid === facts.gateUid) {
    waysAround.push('the gate runs as this very user, who can read its credentials and its memory')
  }
  const groups = facts.groups.filter((group) => groupsThatBecomeRoot.includes(group))
  if (groups.length > 0 && facts.ourUid !== 0)
    waysAround.push(`this user is in ${groups.join(', ')} and can become root through that`)
  if (facts.canBecomeRoot && facts.ourUid !== 0) waysAround.push('this user can become root by sudo without a password')
  if (facts.readable.length > 0 && facts.ourUid !== 0)
    waysAround.push(`this user can read ${facts.readable.slice(0, 5).join(', ')}`)
  const level = waysAround.length === 0 ? 2 : 0
  return { level, worth: levelWorth[level], waysAround, mend: waysAround.length === 0 ? [] : mendFor(facts, groups) }
}

function mendFor(facts: IsolationFacts, groups: readonly string[]): readonly string[] {
  const mend: string[] = []
  if (groups.length > 0 && facts.ourUid !== 0) mend.push(`take the agent's user out of ${groups.join(', ')}`)
  if (facts.canBecomeRoot && facts.ourUid !== 0) mend.push('take the NOPASSWD line for the agent’s user out of sudoers')
  if (facts.ourUid !== null && facts.ourUid !== 0 && facts.ourUid !== facts.gateUid && facts.readable.length > 0) {
    mend.push('chmod 600 those files, and 700 the folders that hold them')
  }
  mend.push(
    'run the gate as a user of its own (for example `useradd --system sallyport`) and agents as another one, without sudo or docker',
  )
  mend.push('better: run the gate on another host, and let only it reach the upstream')
  return mend
}

/** What an agent must not read of a gate's state. The playground's server runs as a user of its own, whose files are the data itself. */
export function stateSecrets(stateDirectory: string): readonly string[] {
  const names = [
    'operator.token',
    'switch.token',
    'vault.token',
    'store.db',
    'secrets',
    join('authority', 'ca.key'),
    join('playground', 'data', 'PG_VERSION'),
  ]
  return names.map((name) => join(stateDirectory, name))
}

export interface IsolationQuestion {
  readonly stateDirectory: string
  /** Of the running gate; null when none runs. */
  readonly gatewayPid: number | null
  /** Files of the gate's that an agent must not read. */
  readonly secretFiles: readonly string[]
}

/** Looks at this machine as the user who asks. */
export function readIsolationFacts(question: IsolationQuestion): IsolationFacts {
  return {
    ourUid: process.getuid?.() ?? null,
    gateUid: findGateUid(question),
    groups: splitWords(run('id', ['-Gn'])),
    canBecomeRoot: run('sudo', ['-n', 'true']) !== null,
    readable: question.secretFiles.filter(isReadable),
  }
}

/** Looks at it for the user that agents are said to run as; the asker has to be able to see that user's rights, which takes root for sudo. */
export function readIsolationFactsOf(user: string, question: IsolationQuestion): IsolationFacts {
  const uid = Number(run('id', ['-u', '--', user]) ?? Number.NaN)
  const gid = Number(run('id', ['-g', '--', user]) ?? Number.NaN)
  if (!Number.isInteger(uid) || !Number.isInteger(gid)) {
    throw new CommandFailure(
      exitCodes.usage,
      'usage',
      `This machine has no user ${user}.`,
      'Nothing was started.',
      'Name the user that agents run as with --agent-user.',
    )
  }
  return {
    ourUid: uid,
    gateUid: findGateUid(question),
    groups: splitWords(run('id', ['-Gn', '--', user])),
    canBecomeRoot: run('sudo', ['-n', '-l', '-U', user])?.includes('may run the following commands') ?? false,
    readable: question.secretFiles.filter((path) => existsSync(path) && canReach(realpathSync(path), { uid, gid })),
  }
}

function findGateUid(question: IsolationQuestion): number | null {
  return (question.gatewayPid === null ? null : ownerOfProcess(question.gatewayPid)) ?? ownerOfFile(question.stateDirectory)
}

function splitWords(text: string | null): readonly string[] {
  return text?.split(/\s+/).filter(Boolean) ?? []
}

function ownerOfProcess(pid: number): number | null {
  const owner = run('ps', ['-o', 'uid=', '-p', String(pid)]) ?? ''
  return /^\d+$/.test(owner) ? Number(owner) : ownerOfFile(`/proc/${pid}`)
}

function ownerOfFile(path: string): number | null {
  try {
    return statSync(resolve(path)).uid
  } catch {
    return null
  }
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}

function run(command: string, args: readonly string[]): string | null {
  try {
    return execFileSync(command, [...args], { stdio: ['ignore', 'pipe', 'ignore'], timeout: 2_000, encoding: 'utf8' }).trim()
  } catch {
    return null
  }
}
