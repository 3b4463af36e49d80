import { execFileSync } from 'node:child_process'
import type { FileOwner } from './base-backup-tar.ts'

/** How far a scratch server is kept from the rest of the machine. It runs code of the database that it proves. */
export interface Sandbox {
  readonly kind: 'other user' | 'namespaces' | 'none'
  /** What goes before the program and its words. */
  readonly words: readonly string[]
  /** True: the server is the first process of a world of its own, and what was started is its keeper. */
  readonly isKept: boolean
}

/** No core files with somebody's rows in them. */
const limits = ['prlimit', '--core=0', '--nofile=4096', '--']
/** No network, no shared memory of others, no sight of other processes; and none of it outlives whoever started it. */
const apart = ['--net', '--ipc', '--pid', '--fork', '--kill-child=KILL', '--mount-proc', '--']
const dying = ['setpriv', '--pdeathsig', 'KILL', '--']
const probeTimeoutMs = 5_000

/**
 * The strongest that this machine lets us have. As root: a user without rights, without capabilities, in namespaces of its own. Else, where users may
 * make namespaces: our own user in such. Else our own user, who at least gains no rights by setuid programs.
 */
export function findSandbox(owner: FileOwner | null): Sandbox {
  // Becoming another user clears what was set before: it is set again, last of all.
  const drop = ['setpriv', '--no-new-privs', '--pdeathsig', 'KILL']
  const user = owner === null ? [] : ['--reuid', String(owner.uid), '--regid', String(owner.gid), '--clear-groups']
  const powerless = owner === null ? [] : ['--bounding-set=-all', '--inh-caps=-all']
  const own = owner === null ? ['--user', '--map-current-user'] : []
  const kept = [...dying, 'unshare', ...own, ...apart, ...limits, ...drop, ...user, ...powerless, '--']
  if (runs(kept)) return { kind: owner === null ? 'namespaces' : 'other user', words: kept, isKept: true }
  const plain = [...dying, ...limits, ...drop, ...user, ...powerless, '--']
  const kind = owner === null ? 'none' : 'other user'
  return runs(plain) ? { kind, words: plain, isKept: false } : { kind, words: [], isKept: false }
}

function runs(words: readonly string[]): boolean {
  const [program = '', ...rest] = words
  try {
    execFileSync(program, [...rest, 'true'], { stdio: 'ignore', timeout: probeTimeoutMs, cwd: '/' })
    return true
  } catch {
    return false
  }
}
