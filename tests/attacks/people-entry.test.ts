import { chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { drillAaguid } from '@sallyport/core'
import { openHandleDesk } from '../../packages/gateway/src/access/handles.ts'
import { openStateFolder } from '../../packages/gateway/src/access/state-folder.ts'
import { createControlApp } from '../../packages/gateway/src/control/app.ts'
import { createFirstLink } from '../../packages/gateway/src/control/api-routes.ts'
import { openDatabase } from '../../packages/gateway/src/store/database.ts'
import { openHandles } from '../../packages/gateway/src/store/handles.ts'
import { makePeopleBench, operatorTokenSha256 } from '../fakes/people.ts'
import { FakeClock, MemoryLog } from '../fakes/ports.ts'
import { enrolAnother, makeSignedIn, makeSite, port, Visit } from '../fakes/visit.ts'
import { unnamed } from './people-bench.ts'

describe('a colleague by look', () => {
  test.each([
    ['a Cyrillic a', `d${unnamed('0430')}na`],
    ['a Greek omicron', `b${unnamed('03BF')}b`],
    ['an Armenian o', `b${unnamed('0585')}b`],
  ])('%s in a Latin name enrols nobody', async (_trick, name) => {
    const bench = makePeopleBench()
    const site = makeSite(bench)
    const visit = new Visit(site)
    expect((await visit.enrol((await createFirstLink(site.site)).url, name)).status).toBe(400)
    expect(await bench.ports.people.list()).toEqual([])
  })

  test.each(['Ада', 'Δανάη', '山田 太郎', "José O'Neill-3"])('%s is a good name', async (name) => {
    expect((await makeSignedIn(makePeopleBench(), name)).visit.csrf).not.toBe('')
  })

  test.each(['ada.', 'ADA', 'a-d-a', 'a d a'])('%s is taken once ada is enrolled', async (name) => {
    const bench = makePeopleBench()
    const { site, visit } = await makeSignedIn(bench)
    await expect(enrolAnother(site, visit, name)).rejects.toThrow(/\S/)
    expect(await bench.ports.people.list()).toHaveLength(1)
  })
})

describe('the store of a drill under a live gate', () => {
  test('its virtual persons neither sign in nor approve, and the log has the try', async () => {
    const bench = makePeopleBench()
    const { visit: virtual } = await makeSignedIn(bench, 'eve')
    const { people } = bench.ports
    const list = async (): ReturnType<typeof people.list> =>
      (await people.list()).map((person) => ({
        ...person,
        passkeys: person.passkeys.map((passkey) => ({ ...passkey, aaguid: drillAaguid })),
      }))
    Object.assign(bench.ports, { people: { ...people, list } })
    const live = makeSite(bench)
    const visit = new Visit(live)
    Object.assign(visit, { passkey: virtual.passkey })
    expect((await visit.signIn()).status).toBe(403)
    expect(bench.log.ofType('verdict.refused').at(-1)?.data['why']).toMatch(/drills/)
  })

  test('a person signs nothing in a drill that was started on a live store', async () => {
    const bench = makePeopleBench()
    const { visit } = await makeSignedIn(bench)
    const there = new Visit(createControlApp(bench.ports, { port, operatorTokenSha256, drill: true }))
    Object.assign(there, { passkey: visit.passkey })
    expect((await there.signIn()).status).toBe(403)
  })
})

test('revoking a handle ends its sessions also when the log cannot have it', async () => {
  const log = new MemoryLog()
  const desk = openHandleDesk(
    openHandles(openDatabase(':memory:')),
    log,
    new FakeClock(),
    Buffer.alloc(32),
    () => new Map([['coder', { owner: 'ada', handleMs: 1000, scopes: [] }]]),
  )
  const { handle } = await desk.issue('coder', null, 'operator')
  log.failing = true
  const ended: string[] = []
  await expect(desk.revoke(handle.id, 'operator', (ids) => ended.push(...ids))).rejects.toMatchObject({ code: 'log_unavailable' })
  expect(ended).toEqual([handle.id])
})

describe('a state folder that somebody else prepared', () => {
  let root: string
  beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'sp-attack-'))))
  afterEach(() => rmSync(root, { recursive: true, force: true }))

  test.each(['operator.token', 'log.key', 'salt.key'])('a planted link for %s', (name) => {
    const directory = join(root, 'state')
    mkdirSync(directory, { mode: 0o700 })
    writeFileSync(join(root, 'known'), 'a'.repeat(64), { mode: 0o600 })
    symlinkSync(join(root, 'known'), join(directory, name))
    expect(() => openStateFolder(directory)).toThrow(/plain file/)
  })

  // Only root can give a file away; elsewhere the check is the same code.
  test('files and folders of another user', () => {
    expect(process.getuid?.(), 'this test gives files away: run it as root').toBe(0)
    const directory = join(root, 'state')
    mkdirSync(directory, { mode: 0o700 })
    const path = join(directory, 'operator.token')
    writeFileSync(path, 'a'.repeat(64), { mode: 0o600 })
    chownSync(path, 65_534, 65_534)
    expect(() => openStateFolder(directory)).toThrow(/another user/)
    chownSync(directory, 65_534, 65_534)
    expect(() => openStateFolder(directory)).toThrow(/another user/)
  })
})
