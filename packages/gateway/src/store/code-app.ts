import type { DatabaseSync } from 'node:sqlite'
import { isSamePerson } from '@sallyport/core'
import { transact } from './database.ts'
import { keepPerson, listPeople, type StoredCodeApp, type StoredPerson } from './person.ts'

/** Wrong codes in a row before no code counts any more, until the person removes the app with a passkey. With three codes good at a time: 1 in 66,000. */
const codeMissesMax = 5

/** What a change of somebody's app of codes comes to: the person as they are to be kept; null: it is refused. */
export type CodeAppChange = (person: StoredPerson) => StoredPerson | null

export type NewCodeApp = Pick<StoredCodeApp, 'id' | 'sealed' | 'addedAtMs' | 'lastStep'>

/** One at a time: another one takes the removal of the one before. */
export function addingCodeApp(app: NewCodeApp): CodeAppChange {
  return (person) => (person.codeApp === null ? { ...person, codeApp: { ...app, misses: 0, isLocked: false } } : null)
}

export function removingCodeApp(id: string): CodeAppChange {
  return (person) => (person.codeApp?.id === id ? { ...person, codeApp: null } : null)
}

/** Counted as a miss before anybody looks at the code: however many are tried at once, at however many gates, no more are looked at. */
export function tryingCode(id: string): CodeAppChange {
  return (person) => {
    const { codeApp } = person
    if (codeApp?.id !== id || codeApp.isLocked) return null
    const misses = codeApp.misses + 1
    return { ...person, codeApp: { ...codeApp, misses, isLocked: misses >= codeMissesMax } }
  }
}

/** A code counts once: what is not later than the last one that counted was used, or was there to be used. */
export function usingCode(id: string, step: number): CodeAppChange {
  return (person) => {
    const { codeApp } = person
    if (codeApp?.id !== id || codeApp.lastStep >= step) return null
    return { ...person, codeApp: { ...codeApp, lastStep: step, misses: 0, isLocked: false } }
  }
}

/** False: there is nobody, or it is refused. */
export function changeCodeApp(database: DatabaseSync, name: string, change: CodeAppChange): boolean {
  return transact(database, () => {
    const found = listPeople(database).find((one) => isSamePerson(one.name, name)) ?? null
    const changed = found === null ? null : change(found)
    if (changed !== null) keepPerson(database, changed)
    return changed !== null
  })
}
