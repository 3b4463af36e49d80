import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'

const passkey = z.object({
  credentialId: z.string(),
  publicKey: z.string(),
  counter: z.number(),
  name: z.string().default(''),
  transports: z.array(z.string()),
  synced: z.boolean(),
  aaguid: z.string(),
  addedAtMs: z.number(),
})
/** Who let somebody in: the inviter (null: the terminal's link), and who confirmed the invitation (null: nobody had to). */
const admission = z.object({ invitedBy: z.string().nullable(), confirmedBy: z.string().nullable() })
/** An app that makes one-time codes. `sealed`: its secret, which the store cannot read. */
const codeApp = z.object({
  id: z.string(),
  sealed: z.string(),
  addedAtMs: z.number(),
  /** Of the last code that counted: it and all before it are used up. */
  lastStep: z.number(),
  /** Since a code counted last. */
  misses: z.number(),
  /** So many that none counts any more. */
  isLocked: z.boolean(),
})
const person = z.object({
  name: z.string(),
  userHandle: z.string(),
  passkeys: z.array(passkey),
  codeApp: codeApp.nullable().default(null),
  enrolledAtMs: z.number(),
  /** Null: enrolled by a version that kept this on the log only. */
  admission: admission.nullable().default(null),
  /** `waits`: a second person has to stand by it, and until then it can be taken back. */
  removed: z
    .object({
      by: z.string(),
      atMs: z.number(),
      waits: z.boolean().default(false),
      confirmedBy: z.string().nullable().default(null),
    })
    .nullable()
    .default(null),
})
export type StoredPerson = z.infer<typeof person>
export type StoredPasskey = StoredPerson['passkeys'][number]
export type StoredCodeApp = z.infer<typeof codeApp>

/** Those who are enrolled, in order. */
export function listPeople(database: DatabaseSync): readonly StoredPerson[] {
  return read(database, 'SELECT body FROM people ORDER BY rowid')
}

/** Everybody who was ever enrolled. */
export function listEver(database: DatabaseSync): readonly StoredPerson[] {
  return [...listPeople(database), ...read(database, 'SELECT body FROM removedPeople ORDER BY rowid')]
}

function read(database: DatabaseSync, query: string): readonly StoredPerson[] {
  return database
    .prepare(query)
    .all()
    .map((row) => readPerson(row['body']))
}

export function readPerson(body: unknown): StoredPerson {
  return person.parse(JSON.parse(String(body)))
}

/** The person whose passkey counted so far, with where it counts to now; null when nobody's stands there. */
export function advance(people: readonly StoredPerson[], credentialId: string, from: number, to: number): StoredPerson | null {
  for (const known of people) {
    const at = known.passkeys.findIndex((key) => key.credentialId === credentialId)
    if (known.passkeys[at]?.counter !== from) continue
    return { ...known, passkeys: known.passkeys.map((key, index) => (index === at ? { ...key, counter: to } : key)) }
  }
  return null
}

export function keepPerson(database: DatabaseSync, changed: StoredPerson): void {
  const table = changed.removed === null ? 'people' : 'removedPeople'
  database.prepare(`UPDATE ${table} SET body = ? WHERE name = ?`).run(JSON.stringify(changed), changed.name)
}

/** Of one person. */
const passkeysMax = 20

/** Null: there is nobody, they have enough, or somebody has this one already. */
export function withPasskey(
  found: StoredPerson | null,
  ever: readonly StoredPerson[],
  added: StoredPasskey,
): StoredPerson | null {
  const known = ever.flatMap(({ passkeys }) => passkeys.map(({ credentialId }) => credentialId))
  if (found === null || found.passkeys.length >= passkeysMax || known.includes(added.credentialId)) return null
  return { ...found, passkeys: [...found.passkeys, added] }
}

/** Null: they have no such, or no other. */
export function withoutPasskey(found: StoredPerson | null, credentialId: string): StoredPerson | null {
  const kept = found?.passkeys.filter((one) => one.credentialId !== credentialId) ?? []
  if (found === null || kept.length === 0 || kept.length === found.passkeys.length) return null
  return { ...found, passkeys: kept }
}
