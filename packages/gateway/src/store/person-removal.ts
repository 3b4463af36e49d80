import type { DatabaseSync } from 'node:sqlite'
import { isSamePerson } from '@sallyport/core'
import { transact } from './database.ts'
import { judgeRemoval, type Removed } from './removal.ts'
import { keepLink, listOpen, restsOn } from './link.ts'
import { keepPerson, listEver, listPeople, withoutPasskey, withPasskey, type StoredPasskey, type StoredPerson } from './person.ts'
import { readGrant } from './row.ts'

function findPerson(database: DatabaseSync, wanted: string): StoredPerson | null {
  return listPeople(database).find(({ name }) => isSamePerson(name, wanted)) ?? null
}

/** At once, whoever must stand by it later. Never the last one: a gate without people would be whoever's opens the terminal's link next. */
export function removePerson(
  database: DatabaseSync,
  name: string,
  by: string,
  nowMs: number,
  confirmFrom: number | null,
): Removed | null {
  return transact(database, () => {
    const kept = judgeRemoval(name, by, listEver(database), nowMs, confirmFrom)
    if (kept === null) return null
    database.prepare('INSERT INTO removedPeople (name, body) VALUES (?, ?)').run(kept.name, JSON.stringify(kept))
    database.prepare('DELETE FROM people WHERE name = ?').run(kept.name)
    for (const link of listOpen(database, nowMs)) if (restsOn(link, name)) keepLink(database, { ...link, withdrawnAtMs: nowMs })
    return { cancelled: cancelApproved(database, name, by), waits: kept.removed.waits }
  })
}

/** What they approved and has not run. What still waits for others counts without them. */
function cancelApproved(database: DatabaseSync, name: string, by: string): readonly string[] {
  const grants = database.prepare("SELECT * FROM grants WHERE state = 'open'").all().map(readGrant)
  const theirs = grants.filter(({ approvers }) => approvers.some((approver) => isSamePerson(approver, name)))
  for (const { id, request } of theirs) {
    database.prepare("UPDATE grants SET state = 'void' WHERE id = ?").run(id)
    database.prepare("UPDATE requests SET state = 'cancelled', endedBy = ? WHERE id = ?").run(by, request)
  }
  return theirs.map(({ request }) => request)
}

export function addPasskey(database: DatabaseSync, name: string, added: StoredPasskey): boolean {
  return transact(database, () => {
    const changed = withPasskey(findPerson(database, name), listEver(database), added)
    if (changed !== null) keepPerson(database, changed)
    return changed !== null
  })
}

export function removePasskey(database: DatabaseSync, name: string, credentialId: string): boolean {
  return transact(database, () => {
    const changed = withoutPasskey(findPerson(database, name), credentialId)
    if (changed !== null) keepPerson(database, changed)
    return changed !== null
  })
}
