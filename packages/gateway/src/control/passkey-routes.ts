import { renderPasskeys } from '@sallyport/console'
import { drillAaguid, sha256Hex, visibleLine } from '@sallyport/core'
import type { Context } from 'hono'
import { z } from 'zod'
import { type Admitted, requirePerson } from './admission.ts'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import { createPendingChallenges } from './challenges.ts'
import { registrationOptions, registrationShape, verifyRegistration } from './passkeys.ts'
import type { Person, Signed } from './ports.ts'
import { addSignedAct } from './signed-act.ts'
import { makeFrame, notFound, readId, ruleOf, signedIn, type Site, type SiteApp, toSignIn } from './site.ts'

const nameShape = z
  .string()
  .max(64)
  .transform((name) => name.normalize('NFC').trim())
  .refine((name) => name !== '' && visibleLine(name) === name)
const askShape = z.strictObject({ name: nameShape })
const finishShape = z.strictObject({ name: nameShape, response: registrationShape })

/** A person's own passkeys: another one takes a signature by one they have, and the last one stays (DESIGN §6). */
export function addPasskeyRoutes(app: SiteApp, site: Site): void {
  const { clock, log, people } = site.ports
  const tickets = createPendingChallenges<Signed>(clock)
  app.get('/people/me', async (context) => {
    const person = signedIn(context)
    if (person === null) return toSignIn(context)
    return context.html(
      renderPasskeys(await makeFrame(site, context), {
        passkeys: person.passkeys,
        mayAdd: context.req.query('add') !== undefined,
        codes: site.ports.codes === undefined ? null : { approves: site.ports.codes.rule.approves },
        codeApp: person.codeApp,
      }),
    )
  })
  addSignedAct(app, site, {
    options: '/people/me/unlock/options',
    finish: '/people/me/unlock',
    purpose: 'another passkey',
    notDone: 'No passkey was added.',
    about: async () => ({}),
    act: async (context, _person, signed) => {
      tickets.issue(context.get('visitor').browser, 'unlocked', signed.challenge, signed)
      return { message: 'Now the new one.', go: '/people/me?add' }
    },
  })
  addCreateRoutes(app, site, (browser) => tickets.take(browser, 'unlocked')?.matter ?? null)
  addSignedAct(app, site, {
    options: '/people/me/passkeys/:id/remove/options',
    finish: '/people/me/passkeys/:id/remove',
    purpose: 'passkey removal',
    notDone: 'No passkey was removed.',
    about: async (context, person) => ({ removes: findPasskey(context, person) }),
    act: async (context, person, signed) => {
      const removed = findPasskey(context, person)
      if (!(await people.removePasskey(person.name, removed)))
        throw new Refused(
          409,
          'target_changed',
          'It is not yours, or the last one you have.',
          'No passkey was removed.',
          'Add another one first.',
        )
      const { statement, challenge, credentialId: credential, evidence } = signed
      const data = { person: person.name, removed, statement, challenge, credential, evidence }
      await log.append({ type: 'passkey.removed', atMs: clock.nowMs(), data })
      return { message: 'Removed.', go: '/people/me' }
    },
  })
}

/** By its hash: an authenticator may choose an id that is longer than an address should be. */
function findPasskey(context: Context<Admitted>, { passkeys }: Person): string {
  const id = readId(context)
  const found = passkeys.find(({ credentialId }) => sha256Hex(credentialId) === id)
  if (found === undefined) throw notFound()
  return found.credentialId
}

interface Asked {
  readonly name: string
  /** By the passkey that the person had. */
  readonly signed: Signed
}

/** The new passkey itself, right after one that the person has: once for each, and in the same session. */
function addCreateRoutes(app: SiteApp, site: Site, takeTicket: (browser: string) => Signed | null): void {
  const { clock, people, random } = site.ports
  const challenges = createPendingChallenges<Asked>(clock)
  app.post('/people/me/passkeys/options', async (context) => {
    const { browser, person } = requirePerson(context.get('visitor'))
    const { name } = await readBody(context, askShape)
    const signed = takeTicket(browser)
    if (signed === null) throw notUnlocked()
    const challenge = random.hex(32)
    challenges.issue(browser, 'passkey', challenge, { name, signed })
    return context.json({ publicKey: await registrationOptions(person, challenge, await people.ever(), ruleOf(site)) })
  })
  app.post('/people/me/passkeys', async (context) => {
    const { browser, person } = requirePerson(context.get('visitor'))
    const { name, response } = await readBody(context, finishShape)
    const asked = challenges.take(browser, 'passkey')
    if (asked === null || asked.matter.name !== name) throw notUnlocked()
    const made = await verifyRegistration(response, asked.challenge, site.origin, clock.nowMs(), ruleOf(site))
    if (made === null || (made.aaguid === drillAaguid) !== site.drill)
      throw new Refused(
        403,
        'authentication_failed',
        'The new passkey does not fit this page, or did not verify you.',
        'No passkey was added.',
        'Use a passkey that asks for a fingerprint, face or PIN.',
      )
    await addPasskey(site, person, { ...made, name }, asked.matter.signed)
    return context.json({ go: '/people/me' })
  })
}

/** On the log before it counts: what a passkey signs that the log does not know, nobody could check. */
async function addPasskey(site: Site, person: Person, made: Person['passkeys'][number], signed: Signed): Promise<void> {
  const { credentialId, publicKey, synced, aaguid, name } = made
  const { statement, challenge, credentialId: by, evidence } = signed
  const atMs = site.ports.clock.nowMs()
  const data = {
    person: person.name,
    name,
    credential: credentialId,
    publicKey,
    synced,
    aaguid,
    by,
    statement,
    challenge,
    evidence,
  }
  await site.ports.log.append({ type: 'passkey.added', atMs, data })
  if (await site.ports.people.addPasskey(person.name, made)) return
  const why = 'The passkey before this was not added: somebody has it, or the person has enough.'
  await site.ports.log.append({ type: 'alarm', atMs, data: { person: person.name, credential: credentialId, why } })
  throw new Refused(
    409,
    'not_in_scope',
    'Somebody has this passkey, or you have enough.',
    'No passkey was added.',
    'Remove one first.',
  )
}

function notUnlocked(): Refused {
  return new Refused(
    409,
    'authentication_failed',
    'Another passkey takes one that you have first, here and just before.',
    'No passkey was added.',
    'Begin again on the page of your passkeys.',
  )
}
