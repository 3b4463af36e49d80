import type { DatabaseSync } from 'node:sqlite'
import { isSamePerson } from '@sallyport/core'
import { transact } from './database.ts'
import {
  admit,
  judgeConfirmation,
  judgeEnrolment,
  isWithdrawable,
  type Confirmed,
  type Enrolled,
  type Newcomer,
} from './admission.ts'
import { addingCodeApp, changeCodeApp, removingCodeApp, tryingCode, usingCode, type NewCodeApp } from './code-app.ts'
import { findLink, keepLink, listOpen, type StoredLink } from './link.ts'
import { advance, keepPerson, listEver, listPeople, type StoredPasskey, type StoredPerson } from './person.ts'
import { addPasskey, removePasskey, removePerson } from './person-removal.ts'
import { confirmRemoval, restorePerson } from './person-restoration.ts'
import type { RemovalConfirmed, Removed, Restored } from './removal.ts'

export interface StoredWebSession {
  readonly idSha256: string
  readonly person: string
  readonly by: 'passkey' | 'account'
  readonly createdAtMs: number
  readonly lastSeenAtMs: number
}

/** Persons, enrolment links and signed-in browsers, in the shape that the people's listener asks for. */
export interface PeopleStore {
  readonly people: {
    list(): Promise<readonly StoredPerson[]>
    ever(): Promise<readonly StoredPerson[]>
    isEnrolled(name: string): Promise<boolean>
    remove(name: string, by: string, nowMs: number, confirmFrom?: number | null): Promise<Removed | null>
    confirmRemoval(name: string, by: string): Promise<RemovalConfirmed>
    restore(name: string, by: string, nowMs: number): Promise<Restored>
    addPasskey(name: string, passkey: StoredPasskey): Promise<boolean>
    removePasskey(name: string, credentialId: string): Promise<boolean>
    addCodeApp(name: string, app: NewCodeApp): Promise<boolean>
    removeCodeApp(name: string, id: string): Promise<boolean>
    tryCode(name: string, id: string): Promise<boolean>
    useCode(name: string, id: string, step: number): Promise<boolean>
    enrol(newcomer: Newcomer, tokenSha256: string, nowMs: number, confirmFrom: number | null): Promise<Enrolled>
    advanceCounter(credentialId: string, from: number, to: number): Promise<boolean>
  }
  readonly links: {
    create(link: StoredLink): Promise<void>
    find(tokenSha256: string): Promise<StoredLink | null>
    open(nowMs: number): Promise<readonly StoredLink[]>
    confirm(tokenSha256: string, person: string, nowMs: number): Promise<Confirmed>
    withdraw(tokenSha256: string, nowMs: number): Promise<boolean>
  }
  readonly webSessions: {
    create(session: StoredWebSession): Promise<void>
    get(idSha256: string): Promise<StoredWebSession | null>
    touch(idSha256: string, lastSeenAtMs: number): Promise<void>
    end(idSha256: string): Promise<void>
  }
}

export function openPeople(database: DatabaseSync): PeopleStore {
  return {
    people: {
      list: async () => listPeople(database),
      ever: async () => listEver(database),
      isEnrolled: async (name) => listPeople(database).some((one) => isSamePerson(one.name, name)),
      remove: async (name, by, nowMs, confirmFrom) => removePerson(database, name, by, nowMs, confirmFrom ?? null),
      confirmRemoval: async (name, by) => confirmRemoval(database, name, by),
      restore: async (name, by, nowMs) => restorePerson(database, name, by, nowMs),
      addPasskey: async (name, passkey) => addPasskey(database, name, passkey),
      removePasskey: async (name, credentialId) => removePasskey(database, name, credentialId),
      addCodeApp: async (name, app) => changeCodeApp(database, name, addingCodeApp(app)),
      removeCodeApp: async (name, id) => changeCodeApp(database, name, removingCodeApp(id)),
      tryCode: async (name, id) => changeCodeApp(database, name, tryingCode(id)),
      useCode: async (name, id, step) => changeCodeApp(database, name, usingCode(id, step)),
      enrol: async (newcomer, tokenSha256, nowMs, confirmFrom) => enrol(database, newcomer, tokenSha256, nowMs, confirmFrom),
      advanceCounter: async (credentialId, from, to) => advanceCounter(database, credentialId, from, to),
    },
    links: {
      create: async (made) => {
        database
          .prepare('INSERT INTO links (tokenSha256, expiresAtMs, body) VALUES (?, ?, ?)')
          .run(made.tokenSha256, made.expiresAtMs, JSON.stringify(made))
      },
      find: async (tokenSha256) => findLink(database, tokenSha256),
      open: async (nowMs) => listOpen(database, nowMs),
      confirm: async (tokenSha256, confirmer, nowMs) => confirm(database, tokenSha256, confirmer, nowMs),
      withdraw: async (tokenSha256, nowMs) => withdraw(database, tokenSha256, nowMs),
    },
    webSessions: keepWebSessions(),
  }
}

function confirm(database: DatabaseSync, tokenSha256: string, confirmer: string, nowMs: number): Confirmed {
  return transact(database, () => {
    const found = findLink(database, tokenSha256)
    const judged = judgeConfirmation(found, confirmer, listPeople(database), nowMs)
    if (judged === 'confirmed' && found !== null)
      keepLink(database, { ...found, confirmation: { person: confirmer, atMs: nowMs } })
    return judged
  })
}

function withdraw(database: DatabaseSync, tokenSha256: string, nowMs: number): boolean {
  return transact(database, () => {
    const found = findLink(database, tokenSha256)
    if (!isWithdrawable(found, nowMs)) return false
    keepLink(database, { ...found, withdrawnAtMs: nowMs })
    return true
  })
}

/** Who is enrolled is counted here, in the transaction that adds one: a link that was made when fewer were does not slip through, nor do two at once. */
function enrol(
  database: DatabaseSync,
  newcomer: Newcomer,
  tokenSha256: string,
  nowMs: number,
  confirmFrom: number | null,
): Enrolled {
  return transact(database, () => {
    const found = findLink(database, tokenSha256)
    const known = { enrolled: listPeople(database), ever: listEver(database) }
    const judged = judgeEnrolment(found, newcomer, known, nowMs, confirmFrom)
    if (judged !== 'enrolled' || found === null) return judged
    const enrolled = admit(newcomer, found)
    database.prepare('INSERT INTO people (name, body) VALUES (?, ?)').run(enrolled.name, JSON.stringify(enrolled))
    keepLink(database, { ...found, usedAtMs: nowMs })
    return judged
  })
}

function advanceCounter(database: DatabaseSync, credentialId: string, from: number, to: number): boolean {
  return transact(database, () => {
    // Whoever was removed may take back the removal of another: their passkey is verified like everybody’s.
    const changed = advance(listEver(database), credentialId, from, to)
    if (changed !== null) keepPerson(database, changed)
    return changed !== null
  })
}

export const webSessionsMax = 1_000

/** In memory on purpose: with one gate, signed-in browsers end with it. */
function keepWebSessions(): PeopleStore['webSessions'] {
  const sessions = new Map<string, StoredWebSession>()
  return {
    create: async (session) => {
      if (sessions.size >= webSessionsMax) sessions.delete(sessions.keys().next().value ?? '')
      sessions.set(session.idSha256, session)
    },
    get: async (idSha256) => sessions.get(idSha256) ?? null,
    touch: async (idSha256, lastSeenAtMs) => {
      const session = sessions.get(idSha256)
      if (session !== undefined) sessions.set(idSha256, { ...session, lastSeenAtMs })
    },
    end: async (idSha256) => void sessions.delete(idSha256),
  }
}
