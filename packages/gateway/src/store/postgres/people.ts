import { isSamePerson } from '@sallyport/core'
import { admit, isWithdrawable, judgeConfirmation, judgeEnrolment } from '../admission.ts'
import { addingCodeApp, removingCodeApp, tryingCode, usingCode, type CodeAppChange } from '../code-app.ts'
import { isOpen, readLink, restsOn, type StoredLink } from '../link.ts'
import type { PeopleStore } from '../people.ts'
import { advance, readPerson, withoutPasskey, withPasskey, type StoredPerson } from '../person.ts'
import { judgeRemoval, judgeRemovalConfirmation, judgeRestoration, type Removed } from '../removal.ts'
import type { Connection, Run } from './connection.ts'
import { approversOf } from './grants.ts'
import { openWebSessions } from './web-sessions.ts'

/** Who may come in changes one at a time, over all gates. */
const lockKey = [0x5a11, 0x0e0e] as const

/** One change at a time, in a transaction. */
type Change = <Result>(work: (within: Run) => Promise<Result>) => Promise<Result>

export function openPeople(connection: Connection): PeopleStore {
  const { run } = connection
  const change: Change = (work) =>
    connection.transact(async (within) => {
      await within('SELECT pg_advisory_xact_lock($1, $2)', lockKey)
      return work(within)
    })
  return {
    people: {
      list: () => listPeople(run),
      ever: () => listEver(run),
      isEnrolled: async (name) => (await findPerson(run, name)) !== null,
      remove: (name, by, nowMs, confirmFrom) => change((within) => removePerson(within, name, by, nowMs, confirmFrom ?? null)),
      confirmRemoval: (name, by) =>
        change(async (within) => {
          const judged = judgeRemovalConfirmation(name, by, await listEver(within))
          if (typeof judged === 'string') return judged
          await keepChanged(within, judged)
          return 'confirmed'
        }),
      restore: (name, by, nowMs) =>
        change(async (within) => {
          const judged = judgeRestoration(name, by, await listEver(within), nowMs)
          if (typeof judged === 'string') return judged
          await within('DELETE FROM removed_people WHERE name = $1', [judged.name])
          await within('INSERT INTO people (name, body) VALUES ($1, $2)', [judged.name, JSON.stringify(judged)])
          return 'restored'
        }),
      addPasskey: (name, passkey) =>
        change(async (within) =>
          keepChanged(within, withPasskey(await findPerson(within, name), await listEver(within), passkey)),
        ),
      removePasskey: (name, credentialId) =>
        change(async (within) => keepChanged(within, withoutPasskey(await findPerson(within, name), credentialId))),
      ...openCodeApps(change),
      enrol: (newcomer, tokenSha256, nowMs, confirmFrom) =>
        change(async (within) => {
          const found = await findLink(within, tokenSha256)
          const known = { enrolled: await listPeople(within), ever: await listEver(within) }
          const judged = judgeEnrolment(found, newcomer, known, nowMs, confirmFrom)
          if (judged !== 'enrolled' || found === null) return judged
          const enrolled = admit(newcomer, found)
          await within('INSERT INTO people (name, body) VALUES ($1, $2)', [enrolled.name, JSON.stringify(enrolled)])
          await keepLink(within, { ...found, usedAtMs: nowMs })
          return judged
        }),
      advanceCounter: (credentialId, from, to) =>
        change(async (within) => keepChanged(within, advance(await listEver(within), credentialId, from, to))),
    },
    links: openLinks(run, change),
    webSessions: openWebSessions(connection),
  }
}

function openCodeApps(change: Change): Pick<PeopleStore['people'], 'addCodeApp' | 'removeCodeApp' | 'tryCode' | 'useCode'> {
  const changeApp = (name: string, make: CodeAppChange): Promise<boolean> =>
    change(async (within) => {
      const found = await findPerson(within, name)
      return keepChanged(within, found === null ? null : make(found))
    })
  return {
    addCodeApp: (name, app) => changeApp(name, addingCodeApp(app)),
    removeCodeApp: (name, id) => changeApp(name, removingCodeApp(id)),
    tryCode: (name, id) => changeApp(name, tryingCode(id)),
    useCode: (name, id, step) => changeApp(name, usingCode(id, step)),
  }
}

function openLinks(run: Run, change: Change): PeopleStore['links'] {
  return {
    create: async (made) => {
      await run('INSERT INTO links (token_sha256, expires_at_ms, body) VALUES ($1, $2, $3)', [
        made.tokenSha256,
        made.expiresAtMs,
        JSON.stringify(made),
      ])
    },
    find: (tokenSha256) => findLink(run, tokenSha256),
    open: (nowMs) => listOpen(run, nowMs),
    confirm: (tokenSha256, person, nowMs) =>
      change(async (within) => {
        const found = await findLink(within, tokenSha256)
        const judged = judgeConfirmation(found, person, await listPeople(within), nowMs)
        if (judged === 'confirmed' && found !== null) await keepLink(within, { ...found, confirmation: { person, atMs: nowMs } })
        return judged
      }),
    withdraw: (tokenSha256, nowMs) =>
      change(async (within) => {
        const found = await findLink(within, tokenSha256)
        if (!isWithdrawable(found, nowMs)) return false
        await keepLink(within, { ...found, withdrawnAtMs: nowMs })
        return true
      }),
  }
}

async function listPeople(run: Run): Promise<readonly StoredPerson[]> {
  const { rows } = await run('SELECT body FROM people ORDER BY seq')
  return rows.map(({ body }) => readPerson(body))
}

async function listEver(run: Run): Promise<readonly StoredPerson[]> {
  const { rows } = await run('SELECT body FROM removed_people ORDER BY seq')
  return [...(await listPeople(run)), ...rows.map(({ body }) => readPerson(body))]
}

async function findPerson(run: Run, wanted: string): Promise<StoredPerson | null> {
  return (await listPeople(run)).find(({ name }) => isSamePerson(name, wanted)) ?? null
}

async function keepChanged(run: Run, changed: StoredPerson | null): Promise<boolean> {
  const table = changed === null || changed.removed === null ? 'people' : 'removed_people'
  if (changed !== null) await run(`UPDATE ${table} SET body = $1 WHERE name = $2`, [JSON.stringify(changed), changed.name])
  return changed !== null
}

async function findLink(run: Run, tokenSha256: string): Promise<StoredLink | null> {
  const { rows } = await run('SELECT body FROM links WHERE token_sha256 = $1', [tokenSha256])
  return rows[0] === undefined ? null : readLink(rows[0]['body'])
}

async function listOpen(run: Run, nowMs: number): Promise<readonly StoredLink[]> {
  const { rows } = await run('SELECT body FROM links WHERE expires_at_ms > $1 ORDER BY seq', [nowMs])
  return rows.map(({ body }) => readLink(body)).filter((found) => isOpen(found, nowMs))
}

async function keepLink(run: Run, changed: StoredLink): Promise<void> {
  await run('UPDATE links SET body = $1 WHERE token_sha256 = $2', [JSON.stringify(changed), changed.tokenSha256])
}

async function removePerson(
  run: Run,
  name: string,
  by: string,
  nowMs: number,
  confirmFrom: number | null,
): Promise<Removed | null> {
  const kept = judgeRemoval(name, by, await listEver(run), nowMs, confirmFrom)
  if (kept === null) return null
  await run('INSERT INTO removed_people (name, body) VALUES ($1, $2)', [kept.name, JSON.stringify(kept)])
  await run('DELETE FROM people WHERE name = $1', [kept.name])
  for (const link of await listOpen(run, nowMs)) if (restsOn(link, name)) await keepLink(run, { ...link, withdrawnAtMs: nowMs })
  return { cancelled: await cancelApproved(run, name, by), waits: kept.removed.waits }
}

/** What they approved and has not run, or is not being consumed at this moment. */
async function cancelApproved(run: Run, name: string, by: string): Promise<readonly string[]> {
  const { rows } = await run("SELECT id, request, body FROM grants WHERE state = 'open' FOR UPDATE")
  const theirs = rows.filter(({ body }) => approversOf(body).some((approver) => isSamePerson(approver, name)))
  for (const { id, request } of theirs) {
    await run("UPDATE grants SET state = 'void' WHERE id = $1", [id])
    await run("UPDATE requests SET state = 'cancelled', ended_by = $2 WHERE id = $1", [request, by])
  }
  return theirs.map(({ request }) => String(request))
}
