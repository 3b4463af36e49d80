import { lstat, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const namePattern = /^sallyport-(?:dump|scratch|chain-drill)-(\d{1,10})-/

/**
 * Takes away what drills and copies of a gate left that was killed in the middle of one: their folders name its process, and hold somebody's
 * data. Another user's, and those of a process that is alive, are none of ours. How many there were.
 */
export async function clearLeftovers(folder = tmpdir(), isAlive: (pid: number) => boolean = isRunning): Promise<number> {
  let cleared = 0
  for (const name of await readdir(folder).catch(() => [])) {
    const [, pid] = namePattern.exec(name) ?? []
    if (pid === undefined || isAlive(Number(pid))) continue
    const path = join(folder, name)
    const status = await lstat(path).catch(() => null)
    if (status === null || !status.isDirectory() || status.uid !== process.getuid?.()) continue
    await rm(path, { recursive: true, force: true, maxRetries: 5 })
    cleared += 1
  }
  return cleared
}

/** A process of this number that is somebody else's by now counts as alive: then nothing is taken away. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH')
  }
}
