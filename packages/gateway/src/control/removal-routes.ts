import { renderRestore } from '@sallyport/console'
import { digestJson, isSamePerson, type Json, type Log } from '@sallyport/core'
import type { Context } from 'hono'
import { z } from 'zod'
import { tooOften, type Admitted } from './admission.ts'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import { createPendingChallenges } from './challenges.ts'
import { limits, rates } from './limits.ts'
import { assertionOptions, assertionShape } from './passkeys.ts'
import type { Person, Signed } from './ports.ts'
import { confirmRemovalFrom } from './second-person.ts'
import { addSignedAct } from './signed-act.ts'
import { makeFrame, readId, refuseSignature, type Site, type SiteApp, verifySigner } from './site.ts'

const notDone = 'Nobody was removed.'

/**
 * Removing a person only takes away, so one passkey is enough for it to hold at once: an account that somebody else has must end. For that reason one stolen
 * passkey could remove everybody, so it can be taken back; in a team of three or more until a second person stood by it, else for a day. That it makes nobody
 * the only one who counts is the store's: whoever was ever enrolled is counted where one person alone must not let others in.
 */
export function addRemovalRoutes(app: SiteApp, site: Site): void {
  const { clock, log, people, control } = site.ports
  addSignedAct(app, site, {
    options: '/people/:id/remove/options',
    finish: '/people/:id/remove',
    purpose: 'removal',
    notDone,
    about: async (context) => ({ removes: (await findPerson(site, context)).name }),
    act: async (context, person, signed) => {
      const { name } = await findPerson(site, context)
      const by = person.name
      const removed = await people.remove(name, by, clock.nowMs(), confirmRemovalFrom(control))
      if (removed === null)
        throw new Refused(
          409,
          'target_changed',
          'Somebody removed them before, or nobody would be left.',
          notDone,
          'Reload the People page.',
        )
      await control.configuration.forget(name)
      const { cancelled, waits } = removed
      const { statement, challenge, credentialId: credential, evidence } = signed
      const data = { person: name, by, cancelled: [...cancelled], waits, statement, challenge, credential, evidence }
      await log.append({ type: 'person.removed', atMs: clock.nowMs(), data })
      for (const request of cancelled) await log.append({ type: 'request.cancelled', atMs: clock.nowMs(), data: { request, by } })
      return { message: 'Removed.', go: '/people' }
    },
  })
  addConfirmation(app, site)
  addRestoration(app, site)
}

/** A second person stands by a removal: from then on nobody takes it back. */
function addConfirmation(app: SiteApp, site: Site): void {
  const { clock, log, people } = site.ports
  const nothing = 'Nothing was confirmed.'
  addSignedAct(app, site, {
    options: '/people/:id/confirm-removal/options',
    finish: '/people/:id/confirm-removal',
    purpose: 'removal confirmed',
    notDone: nothing,
    about: async (context) => {
      const { name, removed } = await findRemoved(site, context, nothing)
      return { confirmsRemovalOf: name, removedBy: removed?.by ?? '', removedAtMs: removed?.atMs ?? 0 }
    },
    act: async (context, person, signed) => {
      const { name } = await findRemoved(site, context, nothing)
      const confirmed = await people.confirmRemoval(name, person.name)
      if (confirmed === 'own')
        throw new Refused(
          403,
          'refused_by_guard',
          'You removed them: somebody else has to confirm it.',
          nothing,
          'Ask one of them.',
        )
      if (confirmed === 'unknown') throw new Refused(409, 'target_changed', 'This removal does not wait for anybody.', nothing)
      await append(log, clock.nowMs(), 'removal.confirmed', name, signed)
      return { message: 'Confirmed. It is for good.', go: '/people' }
    },
  })
}

const restoreShape = z.strictObject({ name: z.string().min(1).max(64) })
const restoreFinishShape = z.strictObject({ name: z.string().min(1).max(64), response: assertionShape })

/**
 * Taking a removal back, by a passkey alone: whoever was removed cannot sign in. What is said to a stranger is the same whoever is enrolled or was removed.
 */
function addRestoration(app: SiteApp, site: Site): void {
  const { clock, random, log, people } = site.ports
  const challenges = createPendingChallenges<Json>(clock)
  app.get('/restore', async (context) => context.html(renderRestore(await makeFrame(site, context))))
  app.post('/restore/options', async (context) => {
    const { name } = await readBody(context, restoreShape)
    const expiresAtMs = clock.nowMs() + limits.challengeMs
    const statement = { v: 1, purpose: 'sallyport removal taken back', restores: name, nonce: random.hex(16), expiresAtMs }
    const challenge = digestJson(statement)
    challenges.issue(context.get('visitor').browser, `restore ${name}`, challenge, statement)
    return context.json({ publicKey: assertionOptions(challenge) })
  })
  app.post('/restore', async (context) => {
    const { name, response } = await readBody(context, restoreFinishShape)
    const asked = challenges.take(context.get('visitor').browser, `restore ${name}`)
    const ever = await people.ever()
    const signer = ever.find(({ passkeys }) => passkeys.some(({ credentialId }) => credentialId === response.id))
    if (asked === null || signer === undefined) throw notRestored()
    // Failures are kept on the log, so they are bounded before they are made.
    if (!site.rate.take(`restore ${signer.name}`, rates.signed)) throw tooOften()
    const signature = await verifySigner(site, signer, response, asked.challenge, { what: 'removal taken back', name })
    const target = ever.find((one) => isSamePerson(one.name, name))
    const restored = target === undefined ? 'final' : await people.restore(target.name, signer.name, clock.nowMs())
    if (target === undefined || restored !== 'restored') {
      await refuseSignature(site, signer, `The removal of ${name} was not taken back: ${restored}.`, {
        what: 'removal taken back',
      })
      throw notRestored()
    }
    const { credentialId, evidence } = signature
    const signed = { person: signer.name, credentialId, challenge: asked.challenge, statement: asked.matter, evidence }
    await append(log, clock.nowMs(), 'person.restored', target.name, signed)
    return context.json({ message: `${target.name} is enrolled again, with the passkeys of before.` })
  })
}

function notRestored(): Refused {
  return new Refused(
    403,
    'authentication_failed',
    'This removal cannot be taken back with this passkey.',
    'Nobody was restored.',
    'Somebody who is enrolled can, or another who was removed: within 24 hours, or as long as nobody has confirmed it.',
  )
}

async function append(
  log: Log,
  atMs: number,
  type: 'removal.confirmed' | 'person.restored',
  name: string,
  { person: by, statement, challenge, credentialId: credential, evidence }: Signed,
): Promise<void> {
  await log.append({ type, atMs, data: { person: name, by, statement, challenge, credential, evidence } })
}

async function findRemoved({ ports }: Site, context: Context<Admitted>, nothing: string): Promise<Person> {
  const id = readId(context)
  const found = (await ports.people.ever()).find(({ userHandle, removed }) => userHandle === id && removed?.waits === true)
  if (found === undefined)
    throw new Refused(
      404,
      'not_in_scope',
      'No removal under this id waits for a second person.',
      nothing,
      'Reload the People page.',
    )
  return found
}

async function findPerson({ ports }: Site, context: Context<Admitted>): Promise<Person> {
  const id = readId(context)
  const found = (await ports.people.list()).find(({ userHandle }) => userHandle === id)
  if (found === undefined)
    throw new Refused(404, 'not_in_scope', 'Nobody is enrolled under this id.', notDone, 'Reload the People page.')
  return found
}
