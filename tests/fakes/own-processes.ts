import { readdirSync, readFileSync } from 'node:fs'

export interface SeenProcess {
  readonly pid: number
  readonly commandLine: string
}

/** Every process of this machine (Linux) whose command line or title holds `text`. */
export function findProcessesOf(text: string): readonly SeenProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      try {
        const commandLine = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
        // A zombie's is empty.
        return commandLine.includes(text) ? [{ pid: Number(name), commandLine }] : []
      } catch {
        // It ended while we looked.
        return []
      }
    })
}

/** Resolves when `isDone` holds; looks every 20 ms. Rejects, naming what was waited for, after the limit. */
export async function waitUntil(what: string, isDone: () => boolean, timeoutMs = 120_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!isDone()) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** For tests of what only root can do (start as one user and work as another). Fails by name where it cannot be tried. */
export function requireRoot(): void {
  if (process.getuid?.() !== 0) throw new Error('this test needs root: run it as `sudo npm test`, or in a container')
}
