import type { DatabaseSync } from 'node:sqlite'
import { isSamePerson } from '@sallyport/core'
import { transact } from './database.ts'
import { findLink, isOpen, keepLink, listOpen, type StoredLink } from './link.ts'
import { keepPerson, listEver, listPeople, type StoredPasskey, type StoredPerson } from './person.ts'
import { addPasskey, removePasskey, removePerson, type Removed } from './person-removal.ts'
import { confirmRemoval, restorePerson, type RemovalConfirmed, type Restored } from './person-restoration.ts'

type Newcomer = Omit<StoredPerson, 'admission' | 'removed'>

export interface StoredWebSession {
  readonly idSha256: string
  readonly person: string
  readonly by: 'passkey' | 'account'
  readonly createdAtMs: number
  readonly lastSeenAtMs: number
}

export type Enrolled = 'enrolled' | 'link_invalid' | 'not_first' | 'unconfirmed' | 'taken'
export type Confirmed = 'confirmed' | 'link_invalid' | 'own' | 'already' | 'stranger'

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

/** The inviter under any spelling confirms nothing, nor does anybody twice, nor somebody who is not enrolled. */
function confirm(database: DatabaseSync, tokenSha256: string, confirmer: string, nowMs: number): Confirmed {
  return transact(database, () => {
    const found = findLink(database, tokenSha256)
    if (found === null || found.invitedBy === null || !isOpen(found, nowMs)) return 'link_invalid'
    if (isSamePerson(found.invitedBy, confirmer)) return 'own'
    if (found.confirmation !== null) return 'already'
    if (!listPeople(database).some(({ name }) => isSamePerson(name, confirmer))) return 'stranger'
    keepLink(database, { ...found, confirmation: { person: confirmer, atMs: nowMs } })
    return 'confirmed'
  })
}

function withdraw(database: DatabaseSync, tokenSha256: string, nowMs: number): boolean {
  return transact(database, () => {
    const found = findLink(database, tokenSha256)
    if (found === null || found.invitedBy === null || !isOpen(found, nowMs)) return false
    keepLink(database, { ...found, withdrawnAtMs: nowMs })
    return true
  })
}

/** Whether somebody else than the inviter, who is enrolled, stands by this invitation. Read again where it counts, whoever wrote it. */
function isConfirmed({ invitedBy, confirmation }: StoredLink, enrolled: readonly StoredPerson[]): boolean {
  if (invitedBy === null || confirmation === null || isSamePerson(invitedBy, confirmation.person)) return false
  return enrolled.some(({ name }) => isSamePerson(name, confirmation.person))
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
    if (found === null || !isOpen(found, nowMs)) return 'link_invalid'
    // Who was removed keeps name and passkey, and counts: nobody becomes the only one by removing the rest.
    const others = listEver(database)
    if (found.invitedBy === null && others.length > 0) return 'not_first'
    if (confirmFrom !== null && others.length >= confirmFrom && !isConfirmed(found, listPeople(database))) return 'unconfirmed'
    const credentials = new Set(others.flatMap(({ passkeys }) => passkeys.map(({ credentialId }) => credentialId)))
    if (newcomer.passkeys.some(({ credentialId }) => credentials.has(credentialId))) return 'taken'
    if (others.some(({ name }) => isSamePerson(name, newcomer.name))) return 'taken'
    const enrolled: StoredPerson = {
      ...newcomer,
      admission: { invitedBy: found.invitedBy, confirmedBy: found.confirmation?.person ?? null },
      removed: null,
    }
    database.prepare('INSERT INTO people (name, body) VALUES (?, ?)').run(enrolled.name, JSON.stringify(enrolled))
    keepLink(database, { ...found, usedAtMs: nowMs })
    return 'enrolled'
  })
}

function advanceCounter(database: DatabaseSync, credentialId: string, from: number, to: number): boolean {
  return transact(database, () => {
    // Whoever was removed may take back the removal of another, with a passkey that is looked at as any is.
    for (const known of listEver(database)) {
      const at = known.passkeys.findIndex((key) => key.credentialId === credentialId)
      if (known.passkeys[at]?.counter !== from) continue
      const passkeys = known.passkeys.map((key, index) => (index === at ? { ...key, counter: to } : key))
      keepPerson(database, { ...known, passkeys })
      return true
    }
    return false
  })
}

const webSessionsMax = 1_000

/** In memory on purpose: signed-in browsers end with the gate. */
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
