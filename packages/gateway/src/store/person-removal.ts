import type { DatabaseSync } from 'node:sqlite'
import { isSamePerson } from '@sallyport/core'
import { transact } from './database.ts'
import { keepLink, listOpen } from './link.ts'
import { keepPerson, listEver, listPeople, type StoredPasskey, type StoredPerson } from './person.ts'
import { readGrant } from './row.ts'

/** Of one person. */
const passkeysMax = 20

function findPerson(database: DatabaseSync, wanted: string): StoredPerson | null {
  return listPeople(database).find(({ name }) => isSamePerson(name, wanted)) ?? null
}

export interface Removed {
  /** Requests that they had approved and that are cancelled. */
  readonly cancelled: readonly string[]
  /** A second person has to stand by it. */
  readonly waits: boolean
}

/** Who is here, or could be again: one passkey does not make a team small enough to need nobody else. */
function countTeam(database: DatabaseSync): number {
  return listEver(database).filter(({ removed }) => removed === null || removed.waits).length
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
    const found = findPerson(database, name)
    if (found === null || listPeople(database).length < 2) return null
    // Somebody who leaves by themselves is nobody else's to judge.
    const waits = confirmFrom !== null && countTeam(database) >= confirmFrom && !isSamePerson(by, name)
    const kept = JSON.stringify({ ...found, removed: { by, atMs: nowMs, waits, confirmedBy: null } })
    database.prepare('INSERT INTO removedPeople (name, body) VALUES (?, ?)').run(found.name, kept)
    database.prepare('DELETE FROM people WHERE name = ?').run(found.name)
    for (const link of listOpen(database, nowMs))
      if (isSamePerson(link.invitedBy ?? '', name) || isSamePerson(link.confirmation?.person ?? '', name))
        keepLink(database, { ...link, withdrawnAtMs: nowMs })
    return { cancelled: cancelApproved(database, name, by), waits }
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
    const found = findPerson(database, name)
    const known = listEver(database).flatMap(({ passkeys }) => passkeys.map(({ credentialId }) => credentialId))
    if (found === null || found.passkeys.length >= passkeysMax || known.includes(added.credentialId)) return false
    keepPerson(database, { ...found, passkeys: [...found.passkeys, added] })
    return true
  })
}

export function removePasskey(database: DatabaseSync, name: string, credentialId: string): boolean {
  return transact(database, () => {
    const found = findPerson(database, name)
    const kept = found?.passkeys.filter((one) => one.credentialId !== credentialId) ?? []
    if (found === null || kept.length === 0 || kept.length === found.passkeys.length) return false
    keepPerson(database, { ...found, passkeys: kept })
    return true
  })
}
