import type { DatabaseSync } from 'node:sqlite'
import { changeCodeApp, removingCodeApp } from './code-app.ts'
import type { KillKind } from './kills.ts'
import { endBy } from './handle-ends.ts'
import { openHandles } from './handles.ts'
import { openKills } from './kills.ts'
import { transact } from './database.ts'
import { removePasskey, removePerson } from './person-removal.ts'

/** What a start makes of facts on the log that the store does not have: it is an older copy, or lost its end. It only ever takes away. */
export interface Narrowing {
  /** In force again, unless the store has it. */
  kill(kind: KillKind, name: string, reason: string, by: string, atMs: number): void
  revokeHandle(id: string, nowMs: number): void
  /** It and what was narrowed from it end by then. */
  endHandle(id: string, endsAtMs: number, nowMs: number): void
  removePerson(name: string, by: string, nowMs: number): void
  removePasskey(person: string, credentialId: string): void
  removeCodeApp(person: string, id: string): void
  /** Everything that people or handles could do by this store ends, and everything is stopped until a person releases it (DESIGN §8). */
  freeze(reason: string, nowMs: number): void
}

export function openNarrowing(database: DatabaseSync): Narrowing {
  const kills = openKills(database)
  const handles = openHandles(database)
  const kill: Narrowing['kill'] = (kind, name, reason, by, atMs) => {
    if (kills.inForce().some((known) => known.kind === kind && known.name === name)) return
    kills.add({ kind, name, reason, by, atMs })
  }
  return {
    kill,
    revokeHandle: (id, nowMs) => void handles.revoke(id, nowMs),
    endHandle: (id, endsAtMs, nowMs) => void endBy(database, id, endsAtMs, nowMs),
    removePerson: (name, by, nowMs) => void removePerson(database, name, by, nowMs, null),
    removePasskey: (person, credentialId) => void removePasskey(database, person, credentialId),
    removeCodeApp: (person, id) => void changeCodeApp(database, person, removingCodeApp(id)),
    freeze: (reason, nowMs) =>
      transact(database, () => {
        kills.voidGrants('all', '')
        kills.cancelRequests('all', '')
        handles.revokeOf('all', '', nowMs)
        kill('all', '', reason, 'the gate', nowMs)
      }),
  }
}
