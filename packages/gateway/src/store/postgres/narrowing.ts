import type { Connection } from './connection.ts'
import type { SharedHandles } from './handles.ts'
import type { SharedKills } from './kills.ts'
import type { PeopleStore } from '../people.ts'
import type { KillKind } from '../kills.ts'
import { endWebSessions } from './web-sessions.ts'

/** What a start makes of facts on this gate's log that the store does not have. It only ever takes away. */
export interface SharedNarrowing {
  kill(kind: KillKind, name: string, reason: string, by: string, atMs: number): Promise<void>
  revokeHandle(id: string, nowMs: number): Promise<void>
  endHandle(id: string, endsAtMs: number, nowMs: number): Promise<void>
  removePerson(name: string, by: string, nowMs: number): Promise<void>
  removePasskey(person: string, credentialId: string): Promise<void>
  removeCodeApp(person: string, id: string): Promise<void>
  freeze(reason: string, nowMs: number): Promise<void>
}

export function openNarrowing(
  connection: Connection,
  kills: SharedKills,
  handles: SharedHandles,
  { people }: PeopleStore,
): SharedNarrowing {
  const kill: SharedNarrowing['kill'] = async (kind, name, reason, by, atMs) => {
    // One that was released at another gate is on that gate's log, and known here all the same.
    if (await kills.isKnown(kind, name, atMs)) return
    await kills.add({ kind, name, reason, by, atMs })
  }
  return {
    kill,
    revokeHandle: async (id, nowMs) => void (await handles.revoke(id, nowMs)),
    endHandle: async (id, endsAtMs, nowMs) => void (await handles.endBy(id, endsAtMs, nowMs)),
    removePerson: async (name, by, nowMs) => void (await people.remove(name, by, nowMs)),
    removePasskey: async (person, credentialId) => void (await people.removePasskey(person, credentialId)),
    removeCodeApp: async (person, id) => void (await people.removeCodeApp(person, id)),
    freeze: async (reason, nowMs) => {
      // Stopped first: from then on nothing more is approved that would not be void.
      await kills.add({ kind: 'all', name: '', reason, by: 'the gate', atMs: nowMs })
      await kills.cancelRequests('all', '')
      await kills.voidGrants('all', '')
      await handles.revokeOf('all', '', nowMs)
      await endWebSessions(connection)
    },
  }
}
