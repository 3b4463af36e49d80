import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'

/** As far ahead of everything else on the machine as a thread gets that sleeps nearly always. */
const ahead = -15

/**
 * Puts a thread of this process, by its path there or the calling one, ahead of others, where the system lets us (root, CAP_SYS_NICE, or LimitNICE of the unit): what an agent out of control keeps busy are the
 * processors, and a switch that waits its turn among them is late by as much. False: it runs as everybody does.
 */
export function runAhead(path?: string): boolean {
  try {
    // On Linux a thread has a number and a priority of its own; this path is the thread that asks.
    const [, thread] = /\/task\/(\d+)$/.exec(path ?? readlinkSync('/proc/thread-self')) ?? []
    if (thread === undefined) return false
    setPriority(Number(thread), ahead)
    return true
  } catch {
    return false
  }
}
