import type { DatabaseSync } from 'node:sqlite'
import { foldPerson, isSamePerson } from '@sallyport/core'
import { z } from 'zod'
import { transact } from './database.ts'
import { listPeople } from './person.ts'

/** Which account at an identity provider belongs to whom, and which groups the provider last said. */
export interface Accounts {
  /** The person that this account was connected to; null: nobody. */
  find(issuer: string, subject: string): string | null
  /** Whether the person has an account there, whichever. */
  isConnected(issuer: string, person: string): boolean
  /** False: somebody has this account, or the person has another one there, or is not enrolled. Nothing is changed then. */
  connect(account: { readonly issuer: string; readonly subject: string }, person: string): boolean
  learnGroups(account: { readonly issuer: string; readonly subject: string }, groups: readonly string[], nowMs: number): void
  /**
   * Enrolled people of whom this issuer, and no other, said within `ageMaxMs` that they are in exactly this group. A clock that was set back makes nothing
   * young.
   */
  membersOf(issuer: string, group: string, nowMs: number, ageMaxMs: number): readonly string[]
}

const row = z.object({ issuer: z.string(), subject: z.string(), person: z.string(), groups: z.string(), learntAtMs: z.number() })
const groupsShape = z.array(z.string())

export function openAccounts(database: DatabaseSync): Accounts {
  const all = (): readonly z.infer<typeof row>[] =>
    database
      .prepare('SELECT * FROM accounts')
      .all()
      .map((one) => row.parse(one))
  const isEnrolled = (person: string): boolean => listPeople(database).some(({ name }) => isSamePerson(name, person))
  return {
    find: (issuer, subject) => all().find((one) => one.issuer === issuer && one.subject === subject)?.person ?? null,
    isConnected: (issuer, person) => all().some((one) => one.issuer === issuer && isSamePerson(one.person, person)),
    connect: ({ issuer, subject }, person) =>
      transact(database, () => {
        const isTaken = all().some(
          (one) => one.issuer === issuer && (one.subject === subject || isSamePerson(one.person, person)),
        )
        if (isTaken || !isEnrolled(person)) return false
        database
          .prepare('INSERT INTO accounts (issuer, subject, person, personKey, groups, learntAtMs) VALUES (?, ?, ?, ?, ?, 0)')
          .run(issuer, subject, person, foldPerson(person), '[]')
        return true
      }),
    learnGroups: ({ issuer, subject }, groups, nowMs) => {
      database
        .prepare('UPDATE accounts SET groups = ?, learntAtMs = ? WHERE issuer = ? AND subject = ?')
        .run(JSON.stringify(groups), nowMs, issuer, subject)
    },
    membersOf: (issuer, group, nowMs, ageMaxMs) =>
      all()
        .filter((one) => one.issuer === issuer && isSaidToBeIn(one, group, nowMs, ageMaxMs))
        .map(({ person }) => person)
        .filter(isEnrolled),
  }
}

/** Not when it was said too long ago, or by a clock that was ahead. */
export function isSaidToBeIn(
  { groups, learntAtMs }: Pick<z.infer<typeof row>, 'groups' | 'learntAtMs'>,
  group: string,
  nowMs: number,
  ageMaxMs: number,
): boolean {
  if (learntAtMs > nowMs || nowMs - learntAtMs >= ageMaxMs) return false
  return groupsShape.parse(JSON.parse(groups)).includes(group)
}
