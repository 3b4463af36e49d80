import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type FileSystem, readWhole, writeWhole } from './file-system.ts'
import { refuseToOpen } from './recovery.ts'

/** Logs that this very process has open, by the file system they lie on. */
const open = new WeakMap<FileSystem, Set<string>>()

/**
 * Two gates that append to one log would tear it apart. The lock names the process that holds it and when that process began, so that
 * one left behind by a crash is known for what it is. @throws SallyportError `log_unavailable` while another process holds it
 */
export async function lockLog(system: FileSystem, directory: string): Promise<() => Promise<void>> {
  const here = open.get(system) ?? new Set()
  open.set(system, here)
  const path = join(directory, 'lock')
  const holder = (await readWhole(system, path, 1024))?.toString('utf8') ?? null
  if (here.has(directory) || (holder !== null && isRunning(holder))) {
    throw refuseToOpen(
      `The log in ${directory} is open in another process (${holder?.split(' ')[0] ?? 'this one'}).`,
      `Stop that gate first. If there is none, remove ${path}.`,
    )
  }
  here.add(directory)
  try {
    await system.remove(path)
    const file = await system.open(path, 'create')
    if (file !== null) {
      await writeWhole(file, Buffer.from(`${process.pid} ${startOf(process.pid) ?? 'unknown'}\n`), 0)
      await file.close()
    }
  } catch (error) {
    here.delete(directory)
    throw error
  }
  return async () => {
    here.delete(directory)
    await system.remove(path)
  }
}

function isRunning(holder: string): boolean {
  const [pidText = '', started] = holder.trim().split(' ')
  const pid = Number(pidText)
  // Our own number in a lock that we do not hold: left behind by a process that had it before us, as in containers.
  if (!Number.isSafeInteger(pid) || pid <= 0 || pid === process.pid || !exists(pid)) return false
  const now = startOf(pid)
  return now !== 'ended' && (now === null || started === 'unknown' || now === started)
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** When a process began, in ticks since boot; `ended` for a zombie; null where the system does not tell. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // Fields 3 and 22, counted after the command's name, which stands in parentheses and may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie writes nothing any more, and where nobody reaps it stays for good.
    return fields[0] === 'Z' || fields[0] === 'X' ? 'ended' : (fields[19] ?? null)
  } catch {
    return null
  }
}
