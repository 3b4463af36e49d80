import type { DatabaseSync } from 'node:sqlite'
import { isSamePerson } from '@sallyport/core'
import { z } from 'zod'
import { transact } from './database.ts'

const passkey = z.object({
  credentialId: z.string(),
  publicKey: z.string(),
  counter: z.number(),
  transports: z.array(z.string()),
  synced: z.boolean(),
  aaguid: z.string(),
  addedAtMs: z.number(),
})
/** Who let somebody in: the inviter (null: the terminal's link), and who confirmed the invitation (null: nobody had to). */
const admission = z.object({ invitedBy: z.string().nullable(), confirmedBy: z.string().nullable() })
const person = z.object({
  name: z.string(),
  userHandle: z.string(),
  passkeys: z.array(passkey),
  enrolledAtMs: z.number(),
  /** Null: enrolled by a version that kept this on the log only. */
  admission: admission.nullable().default(null),
})
export type StoredPerson = z.infer<typeof person>
type Newcomer = Omit<StoredPerson, 'admission'>

const link = z.object({
  tokenSha256: z.string(),
  invitedBy: z.string().nullable(),
  createdAtMs: z.number(),
  expiresAtMs: z.number(),
  usedAtMs: z.number().nullable(),
  confirmation: z.object({ person: z.string(), atMs: z.number() }).nullable().default(null),
  withdrawnAtMs: z.number().nullable().default(null),
})
export type StoredLink = z.infer<typeof link>

export interface StoredWebSession {
  readonly idSha256: string
  readonly person: string
  readonly createdAtMs: number
  readonly lastSeenAtMs: number
}

export type Enrolled = 'enrolled' | 'link_invalid' | 'not_first' | 'unconfirmed' | 'taken'
export type Confirmed = 'confirmed' | 'link_invalid' | 'own' | 'already' | 'stranger'

/** Persons, enrolment links and signed-in browsers, in the shape that the people's listener asks for. */
export interface PeopleStore {
  readonly people: {
    list(): Promise<readonly StoredPerson[]>
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

function listPeople(database: DatabaseSync): readonly StoredPerson[] {
  return database
    .prepare('SELECT body FROM people ORDER BY rowid')
    .all()
    .map((row) => person.parse(JSON.parse(String(row['body']))))
}

function findLink(database: DatabaseSync, tokenSha256: string): StoredLink | null {
  const row = database.prepare('SELECT body FROM links WHERE tokenSha256 = ?').get(tokenSha256)
  return row === undefined ? null : link.parse(JSON.parse(String(row['body'])))
}

function isOpen(found: StoredLink, nowMs: number): boolean {
  return found.usedAtMs === null && found.withdrawnAtMs === null && found.expiresAtMs > nowMs
}

function listOpen(database: DatabaseSync, nowMs: number): readonly StoredLink[] {
  return database
    .prepare('SELECT body FROM links WHERE expiresAtMs > ? ORDER BY rowid')
    .all(nowMs)
    .map((row) => link.parse(JSON.parse(String(row['body']))))
    .filter((found) => isOpen(found, nowMs))
}

function keepLink(database: DatabaseSync, changed: StoredLink): void {
  database.prepare('UPDATE links SET body = ? WHERE tokenSha256 = ?').run(JSON.stringify(changed), changed.tokenSha256)
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
    const others = listPeople(database)
    if (found.invitedBy === null && others.length > 0) return 'not_first'
    if (confirmFrom !== null && others.length >= confirmFrom && !isConfirmed(found, others)) return 'unconfirmed'
    const credentials = new Set(others.flatMap(({ passkeys }) => passkeys.map(({ credentialId }) => credentialId)))
    if (newcomer.passkeys.some(({ credentialId }) => credentials.has(credentialId))) return 'taken'
    if (others.some(({ name }) => isSamePerson(name, newcomer.name))) return 'taken'
    const enrolled: StoredPerson = {
      ...newcomer,
      admission: { invitedBy: found.invitedBy, confirmedBy: found.confirmation?.person ?? null },
    }
    database.prepare('INSERT INTO people (name, body) VALUES (?, ?)').run(enrolled.name, JSON.stringify(enrolled))
    keepLink(database, { ...found, usedAtMs: nowMs })
    return 'enrolled'
  })
}

function advanceCounter(database: DatabaseSync, credentialId: string, from: number, to: number): boolean {
  return transact(database, () => {
    for (const known of listPeople(database)) {
      const at = known.passkeys.findIndex((key) => key.credentialId === credentialId)
      if (known.passkeys[at]?.counter !== from) continue
      const passkeys = known.passkeys.map((key, index) => (index === at ? { ...key, counter: to } : key))
      database.prepare('UPDATE people SET body = ? WHERE name = ?').run(JSON.stringify({ ...known, passkeys }), known.name)
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
