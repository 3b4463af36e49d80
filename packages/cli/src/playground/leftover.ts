import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { CommandFailure, exitCodes } from '../failure.ts'

/** How long a server whose command line was killed may take to end. */
const leftoverTimeoutMs = 12_000

/** In the title of every process of a cluster's server, so that its own can be told from others'. */
export function clusterNameOf(folder: string): string {
  return `sallyport-${createHash('sha256').update(folder).digest('hex').slice(0, 16)}`
}

/**
 * Waits until no process of an earlier server on this cluster lives; two servers on one cluster would destroy it. Then takes its lock file away:
 * PostgreSQL believes that file as long as the number in it is any process's at all, and a killed server stays a zombie for as long as the
 * machine's first process does not care, which in a container is for ever.
 */
export async function waitForLeftover(folder: string, data: string): Promise<void> {
  const name = clusterNameOf(folder)
  const deadline = Date.now() + leftoverTimeoutMs
  for (let pids = findProcesses(name); pids.length > 0; pids = findProcesses(name)) {
    if (Date.now() > deadline) throw stillRunning(pids)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  rmSync(join(data, 'postmaster.pid'), { force: true })
}

function stillRunning(pids: readonly number[]): CommandFailure {
  return new CommandFailure(
    exitCodes.failed,
    'already_running',
    `An earlier playground database still runs here as process ${pids.join(', ')}.`,
    'No second one was started on the same files.',
    `End it with \`kill -INT ${pids[0] ?? ''}\`, then start again.`,
  )
}

/** Command lines and titles can be read of every user's processes, unlike their working folders. A zombie's is empty. */
function findProcesses(name: string): readonly number[] {
  if (!existsSync('/proc/self/cmdline')) return findProcessesByPs(name)
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((entry) => readIfThere(`/proc/${entry}/cmdline`).includes(name))
    .map(Number)
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function findProcessesByPs(name: string): readonly number[] {
  const listing = execFileSync('ps', ['-axo', 'pid=,stat=,args='], { encoding: 'utf8' })
  return listing
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, status, ...words]) => status?.startsWith('Z') === false && words.join(' ').includes(name))
    .map(([pid]) => Number(pid))
}
