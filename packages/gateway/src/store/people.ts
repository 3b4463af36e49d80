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
const person = z.object({ name: z.string(), userHandle: z.string(), passkeys: z.array(passkey), enrolledAtMs: z.number() })
export type StoredPerson = z.infer<typeof person>

const link = z.object({
  tokenSha256: z.string(),
  invitedBy: z.string().nullable(),
  createdAtMs: z.number(),
  expiresAtMs: z.number(),
  usedAtMs: z.number().nullable(),
})
export type StoredLink = z.infer<typeof link>

export interface StoredWebSession {
  readonly idSha256: string
  readonly person: string
  readonly createdAtMs: number
  readonly lastSeenAtMs: number
}

/** Persons, enrolment links and signed-in browsers, in the shape that the people's listener asks for. */
export interface PeopleStore {
  readonly people: {
    list(): Promise<readonly StoredPerson[]>
    enrol(person: StoredPerson, tokenSha256: string, nowMs: number): Promise<'enrolled' | 'link_invalid' | 'not_first' | 'taken'>
    advanceCounter(credentialId: string, from: number, to: number): Promise<boolean>
  }
  readonly links: { create(link: StoredLink): Promise<void>; find(tokenSha256: string): Promise<StoredLink | null> }
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
      enrol: async (newcomer, tokenSha256, nowMs) => enrol(database, newcomer, tokenSha256, nowMs),
      advanceCounter: async (credentialId, from, to) => advanceCounter(database, credentialId, from, to),
    },
    links: {
      create: async (made) => {
        database
          .prepare('INSERT INTO links (tokenSha256, expiresAtMs, body) VALUES (?, ?, ?)')
          .run(made.tokenSha256, made.expiresAtMs, JSON.stringify(made))
      },
      find: async (tokenSha256) => findLink(database, tokenSha256),
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

function enrol(
  database: DatabaseSync,
  newcomer: StoredPerson,
  tokenSha256: string,
  nowMs: number,
): 'enrolled' | 'link_invalid' | 'not_first' | 'taken' {
  return transact(database, () => {
    const found = findLink(database, tokenSha256)
    if (found === null || found.usedAtMs !== null || found.expiresAtMs <= nowMs) return 'link_invalid'
    const others = listPeople(database)
    if (found.invitedBy === null && others.length > 0) return 'not_first'
    const credentials = new Set(others.flatMap(({ passkeys }) => passkeys.map(({ credentialId }) => credentialId)))
    if (newcomer.passkeys.some(({ credentialId }) => credentials.has(credentialId))) return 'taken'
    if (others.some(({ name }) => isSamePerson(name, newcomer.name))) return 'taken'
    database.prepare('INSERT INTO people (name, body) VALUES (?, ?)').run(newcomer.name, JSON.stringify(newcomer))
    database
      .prepare('UPDATE links SET body = ? WHERE tokenSha256 = ?')
      .run(JSON.stringify({ ...found, usedAtMs: nowMs }), tokenSha256)
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
