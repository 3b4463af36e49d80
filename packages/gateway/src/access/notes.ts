import type { Clock, Gate, Log } from '@sallyport/core'

/** What is put on the log without anybody waiting for it: nothing ran, and nothing will. */
export function notesOn(log: Log, clock: Clock): Pick<Gate, 'refusedAtDoor' | 'alarm'> {
  return {
    refusedAtDoor: (protocol, peer, agent, why) => {
      const data = { protocol, peer, why: why.slice(0, 300).toWellFormed(), claimed: agent.slice(0, 128).toWellFormed() }
      void log.append({ type: 'door.refused', atMs: clock.nowMs(), data }).catch(() => undefined)
    },
    alarm: ({ kind, session, agent, data }) => {
      void log.append({ type: 'alarm', atMs: clock.nowMs(), session, agent, data: { kind, ...data } }).catch(() => undefined)
    },
  }
}
