import type { DatabaseSync } from 'node:sqlite'
import { transact } from './database.ts'
import { keepPerson, listEver } from './person.ts'
import { judgeRemovalConfirmation, judgeRestoration, type RemovalConfirmed, type Restored } from './removal.ts'

export function confirmRemoval(database: DatabaseSync, name: string, by: string): RemovalConfirmed {
  return transact(database, () => {
    const judged = judgeRemovalConfirmation(name, by, listEver(database))
    if (typeof judged === 'string') return judged
    keepPerson(database, judged)
    return 'confirmed'
  })
}

export function restorePerson(database: DatabaseSync, name: string, by: string, nowMs: number): Restored {
  return transact(database, () => {
    const judged = judgeRestoration(name, by, listEver(database), nowMs)
    if (typeof judged === 'string') return judged
    database.prepare('DELETE FROM removedPeople WHERE name = ?').run(judged.name)
    database.prepare('INSERT INTO people (name, body) VALUES (?, ?)').run(judged.name, JSON.stringify(judged))
    return 'restored'
  })
}
