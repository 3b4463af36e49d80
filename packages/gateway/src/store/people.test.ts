import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openDatabase } from './database.ts'
import type { StoredLink } from './link.ts'
import { openPeople } from './people.ts'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-people-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const nowMs = 1_000
const link = { createdAtMs: 0, expiresAtMs: 5_000, usedAtMs: null }
const person = (name: string): Parameters<ReturnType<typeof openPeople>['people']['enrol']>[0] => ({
  name,
  userHandle: name,
  passkeys: [],
  enrolledAtMs: nowMs,
})
const invitation = (tokenSha256: string, invitedBy: string | null): StoredLink => ({
  ...link,
  tokenSha256,
  invitedBy,
  confirmation: null,
  withdrawnAtMs: null,
})

test('what waits for a second person waits after a kill -9, and what was confirmed or withdrawn stays so', async () => {
  const path = join(folder, 'restart.db')
  const before = openPeople(openDatabase(path))
  await before.links.create(invitation('first', null))
  await before.people.enrol(person('ada'), 'first', nowMs, 2)
  for (const [token, name] of [
    ['second', 'bob'],
    ['waits', ''],
    ['confirmed', ''],
    ['withdrawn', ''],
  ] as const) {
    await before.links.create(invitation(token, 'ada'))
    if (name !== '') expect(await before.people.enrol(person(name), token, nowMs, 2)).toBe('enrolled')
  }
  expect(await before.links.confirm('confirmed', 'bob', nowMs)).toBe('confirmed')
  expect(await before.links.withdraw('withdrawn', nowMs)).toBe(true)
  // A second connection on the same file, without closing the first: what a process finds that starts after a kill -9.
  const after = openPeople(openDatabase(path))
  expect((await after.links.open(nowMs)).map(({ tokenSha256 }) => tokenSha256)).toEqual(['waits', 'confirmed'])
  expect(await after.people.enrol(person('mallory'), 'withdrawn', nowMs, 2)).toBe('link_invalid')
  expect(await after.people.enrol(person('mallory'), 'waits', nowMs, 2)).toBe('unconfirmed')
  expect(await after.people.enrol(person('carol'), 'confirmed', nowMs, 2)).toBe('enrolled')
  expect((await before.people.list()).map(({ name, admission }) => [name, admission])).toEqual([
    ['ada', { invitedBy: null, confirmedBy: null }],
    ['bob', { invitedBy: 'ada', confirmedBy: null }],
    ['carol', { invitedBy: 'ada', confirmedBy: 'bob' }],
  ])
})

test('a store from before invitations took two people: its people stay, its open links wait', async () => {
  const database = openDatabase(join(folder, 'older.db'))
  const { people, links } = openPeople(database)
  for (const name of ['ada', 'bob'])
    database.prepare('INSERT INTO people (name, body) VALUES (?, ?)').run(name, JSON.stringify(person(name)))
  const old = { ...link, tokenSha256: 'old', invitedBy: 'ada' }
  database.prepare('INSERT INTO links (tokenSha256, expiresAtMs, body) VALUES (?, ?, ?)').run('old', 5_000, JSON.stringify(old))
  expect((await people.list()).map(({ admission }) => admission)).toEqual([null, null])
  expect(await people.enrol(person('mallory'), 'old', nowMs, 2)).toBe('unconfirmed')
  expect(await links.confirm('old', 'bob', nowMs)).toBe('confirmed')
  expect(await people.enrol(person('carol'), 'old', nowMs, 2)).toBe('enrolled')
})
