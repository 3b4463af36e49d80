import { foldPerson, isSamePerson } from '@sallyport/core'
import { z } from 'zod'
import { readGroups } from '../accounts.ts'
import type { PeopleStore } from '../people.ts'
import type { Connection } from './connection.ts'

type Account = { readonly issuer: string; readonly subject: string }

export interface SharedAccounts {
  find(issuer: string, subject: string): Promise<string | null>
  isConnected(issuer: string, person: string): Promise<boolean>
  connect(account: Account, person: string): Promise<boolean>
  learnGroups(account: Account, groups: readonly string[], nowMs: number): Promise<void>
  groupsOf(
    person: string,
    nowMs: number,
    ageMaxMs: number,
  ): Promise<{ readonly groups: readonly string[]; readonly learntAtMs: number } | null>
}

const learntShape = z.object({ groups: z.string(), learntAtMs: z.number() })

/** Which account at the team's provider is whose: connected at one gate, known at all. */
export function openAccounts({ run }: Connection, { people }: PeopleStore): SharedAccounts {
  const isEnrolled = async (person: string): Promise<boolean> =>
    (await people.list()).some(({ name }) => isSamePerson(name, person))
  return {
    find: async (issuer, subject) => {
      const { rows } = await run('SELECT person FROM accounts WHERE issuer = $1 AND subject = $2', [issuer, subject])
      return rows[0] === undefined ? null : String(rows[0]['person'])
    },
    isConnected: async (issuer, person) => {
      const { count } = await run('SELECT 1 FROM accounts WHERE issuer = $1 AND person_key = $2', [issuer, foldPerson(person)])
      return count > 0
    },
    connect: async ({ issuer, subject }, person) => {
      if (!(await isEnrolled(person))) return false
      // Of two gates at it at once, the table's own keys let one.
      const { count } = await run(
        `INSERT INTO accounts (issuer, subject, person, person_key, groups, learnt_at_ms) VALUES ($1, $2, $3, $4, '[]', 0)
         ON CONFLICT DO NOTHING`,
        [issuer, subject, person, foldPerson(person)],
      )
      return count === 1
    },
    learnGroups: async ({ issuer, subject }, groups, nowMs) => {
      await run('UPDATE accounts SET groups = $3, learnt_at_ms = $4 WHERE issuer = $1 AND subject = $2', [
        issuer,
        subject,
        JSON.stringify(groups),
        nowMs,
      ])
    },
    groupsOf: async (person, nowMs, ageMaxMs) => {
      const { rows } = await run(
        'SELECT groups, learnt_at_ms AS "learntAtMs" FROM accounts WHERE person_key = $1 ORDER BY issuer, subject LIMIT 1',
        [foldPerson(person)],
      )
      if (rows[0] === undefined || !(await isEnrolled(person))) return null
      return readGroups(learntShape.parse(rows[0]), nowMs, ageMaxMs)
    },
  }
}
