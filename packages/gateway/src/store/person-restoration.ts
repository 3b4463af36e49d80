import type { DatabaseSync } from 'node:sqlite'
import { isSamePerson } from '@sallyport/core'
import { transact } from './database.ts'
import { keepPerson, listEver, listPeople, type StoredPerson } from './person.ts'

/** One that nobody else had to stand by can be taken back for so long. */
const takenBackMs = 24 * 3_600_000

export type RemovalConfirmed = 'confirmed' | 'unknown' | 'own'
export type Restored =
  | 'restored'
  /** Nobody of this name was removed, or a second person stood by it, or the time is over. */
  | 'final'
  /** Whoever asks was removed too, and this is their own removal, or one for good. */
  | 'not_theirs'

function findRemoved(database: DatabaseSync, wanted: string): StoredPerson | null {
  return listEver(database).find(({ name, removed }) => removed !== null && isSamePerson(name, wanted)) ?? null
}

/** A second enrolled person, not the one who removed: from then on it is for good. */
export function confirmRemoval(database: DatabaseSync, name: string, by: string): RemovalConfirmed {
  return transact(database, () => {
    const found = findRemoved(database, name)
    if (found === null || found.removed?.waits !== true) return 'unknown'
    if (!listPeople(database).some((one) => isSamePerson(one.name, by))) return 'unknown'
    if (isSamePerson(found.removed.by, by)) return 'own'
    keepPerson(database, { ...found, removed: { ...found.removed, waits: false, confirmedBy: by } })
    return 'confirmed'
  })
}

function isOpen({ removed }: StoredPerson, nowMs: number): boolean {
  if (removed === null || removed.confirmedBy !== null) return false
  const ageMs = nowMs - removed.atMs
  return removed.waits || (ageMs >= 0 && ageMs < takenBackMs)
}

/**
 * Taken back by anybody who is enrolled, or by another whose own removal could be taken back too: who has one stolen passkey and removes everybody is answered
 * by any two of them. Nobody takes back their own, or a stolen passkey that was removed would be back at once; except of two, where there is nobody else to ask.
 */
export function restorePerson(database: DatabaseSync, name: string, by: string, nowMs: number): Restored {
  return transact(database, () => {
    const found = findRemoved(database, name)
    if (found === null || !isOpen(found, nowMs)) return 'final'
    const ever = listEver(database)
    const asker = ever.find((one) => isSamePerson(one.name, by))
    if (asker === undefined) return 'not_theirs'
    const isEnrolled = asker.removed === null
    const isOther = !isSamePerson(asker.name, found.name)
    const couldBe = ever.filter((one) => one.removed === null || isOpen(one, nowMs)).length
    if (!isEnrolled && !(isOpen(asker, nowMs) && (isOther || couldBe <= 2))) return 'not_theirs'
    database.prepare('DELETE FROM removedPeople WHERE name = ?').run(found.name)
    database.prepare('INSERT INTO people (name, body) VALUES (?, ?)').run(found.name, JSON.stringify({ ...found, removed: null }))
    return 'restored'
  })
}
