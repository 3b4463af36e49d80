import { foldPerson, isSamePerson } from '@sallyport/core'
import { z } from 'zod'
import { isSaidToBeIn } from '../accounts.ts'
import type { PeopleStore } from '../people.ts'
import type { Connection } from './connection.ts'

type Account = { readonly issuer: string; readonly subject: string }

export interface SharedAccounts {
  find(issuer: string, subject: string): Promise<string | null>
  isConnected(issuer: string, person: string): Promise<boolean>
  connect(account: Account, person: string): Promise<boolean>
  learnGroups(account: Account, groups: readonly string[], nowMs: number): Promise<void>
  membersOf(issuer: string, group: string, nowMs: number, ageMaxMs: number): Promise<readonly string[]>
}

const learntShape = z.object({ person: z.string(), groups: z.string(), learntAtMs: z.number() })

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
    membersOf: async (issuer, group, nowMs, ageMaxMs) => {
      const { rows } = await run(
        'SELECT person, groups, learnt_at_ms AS "learntAtMs" FROM accounts WHERE issuer = $1 AND learnt_at_ms > $2',
        [issuer, nowMs - ageMaxMs],
      )
      const said = rows.map((one) => learntShape.parse(one)).filter((one) => isSaidToBeIn(one, group, nowMs, ageMaxMs))
      if (said.length === 0) return []
      const enrolled = await people.list()
      return said.map(({ person }) => person).filter((person) => enrolled.some(({ name }) => isSamePerson(name, person)))
    },
  }
}
