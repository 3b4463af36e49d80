import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface SeenProcess {
  readonly pid: number
  readonly commandLine: string
}

/** Every process of this machine (Linux) whose command line or working folder lies under `path`. */
export function findProcessesOf(path: string): readonly SeenProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      try {
        const commandLine = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
        const isZombie = /^State:\s+Z/m.test(readFileSync(`/proc/${name}/status`, 'utf8'))
        const isOurs = commandLine.includes(path) || readlinkSync(`/proc/${name}/cwd`).startsWith(path)
        return isOurs && !isZombie ? [{ pid: Number(name), commandLine }] : []
      } catch {
        // It ended while we looked.
        return []
      }
    })
}

/** Resolves when `isDone` holds; looks every 20 ms. Rejects, naming what was waited for, after the limit. */
export async function waitUntil(what: string, isDone: () => boolean, timeoutMs = 20_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!isDone()) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
