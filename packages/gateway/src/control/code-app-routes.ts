import { renderCodeApp } from '@sallyport/console'
import { codeKeyText, codeSecretBytes, codeUri, findCodeStep } from '@sallyport/core'
import { z } from 'zod'
import { requirePerson } from './admission.ts'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import { createPendingChallenges } from './challenges.ts'
import { limits } from './limits.ts'
import type { Person, Signed } from './ports.ts'
import { addSignedAct } from './signed-act.ts'
import { makeFrame, signedIn, type Site, type SiteApp, toSignIn } from './site.ts'

const notAdded = 'No app was added.'
const firstCodeTries = 5
const finishShape = z.strictObject({ code: z.string().max(16) })

/** A secret that was shown and has not proved yet that it arrived. */
interface Shown {
  readonly id: string
  readonly secret: Uint8Array
  readonly signed: Signed
  readonly triesLeft: number
}

/**
 * A person's app of one-time codes: set up and removed with a passkey, so it is never the first factor and never the only one. Its secret is shown once
 * and counts from the first right code on.
 */
export function addCodeAppRoutes(app: SiteApp, site: Site): void {
  const { clock, random } = site.ports
  const unlocked = createPendingChallenges<Signed>(clock)
  const shown = createPendingChallenges<Shown>(clock, limits.linkMs)
  addSignedAct(app, site, {
    options: '/people/me/code/unlock/options',
    finish: '/people/me/code/unlock',
    purpose: 'an app of one-time codes',
    notDone: notAdded,
    about: async (_context, person) => {
      checkAddable(site, person)
      return {}
    },
    act: async (context, _person, signed) => {
      unlocked.issue(context.get('visitor').browser, 'code', signed.challenge, signed)
      return { message: 'Now the app.', go: '/people/me/code' }
    },
  })
  app.get('/people/me/code', async (context) => {
    const person = signedIn(context)
    if (person === null) return toSignIn(context)
    const { browser } = context.get('visitor')
    const ticket = unlocked.take(browser, 'code')
    // Shown once: who loads the page again begins again, with another secret.
    if (ticket === null) return context.redirect('/people/me', 303)
    const secret = Buffer.from(random.hex(codeSecretBytes), 'hex')
    shown.issue(browser, 'code', '', { id: random.hex(8), secret, signed: ticket.matter, triesLeft: firstCodeTries })
    const frame = await makeFrame(site, context)
    return context.html(renderCodeApp(frame, { key: codeKeyText(secret), uri: codeUri(secret, person.name) }))
  })
  app.post('/people/me/code', async (context) => {
    const { browser, person } = requirePerson(context.get('visitor'))
    const { code } = await readBody(context, finishShape)
    checkAddable(site, person)
    const known = shown.take(browser, 'code')?.matter ?? null
    if (known === null) throw notShown()
    const step = findCodeStep(known.secret, code.replaceAll(' ', ''), clock.nowMs())
    if (step === null) {
      if (known.triesLeft > 1) shown.issue(browser, 'code', '', { ...known, triesLeft: known.triesLeft - 1 })
      throw new Refused(
        403,
        'authentication_failed',
        'This is not the code of now.',
        notAdded,
        'Look at the app and the clock of its device, and try again.',
      )
    }
    await addCodeApp(site, person, known, step)
    return context.json({ message: 'Added.', go: '/people/me' })
  })
  addRemoval(app, site)
}

function addRemoval(app: SiteApp, site: Site): void {
  const { people, log, clock } = site.ports
  addSignedAct(app, site, {
    options: '/people/me/code/remove/options',
    finish: '/people/me/code/remove',
    purpose: 'removal of the app of one-time codes',
    notDone: 'No app was removed.',
    about: async (_context, { codeApp }) => {
      if (codeApp === null) throw notTheirs()
      return { removes: codeApp.id }
    },
    act: async (_context, { name, codeApp }, { statement, challenge, credentialId: credential, evidence }) => {
      if (codeApp === null || !(await people.removeCodeApp(name, codeApp.id))) throw notTheirs()
      const data = { person: name, app: codeApp.id, statement, challenge, credential, evidence }
      await log.append({ type: 'code.removed', atMs: clock.nowMs(), data })
      return { message: 'Removed.', go: '/people/me' }
    },
  })
}

/** On the log and to everybody who is told before it counts: an app that somebody else set up must not stay unseen. */
async function addCodeApp({ ports }: Site, { name }: Person, { id, secret, signed }: Shown, lastStep: number): Promise<void> {
  const { log, people, clock, codes } = ports
  if (codes === undefined) throw off()
  const atMs = clock.nowMs()
  const { statement, challenge, credentialId: credential, evidence } = signed
  await log.append({ type: 'code.added', atMs, data: { person: name, app: id, statement, challenge, credential, evidence } })
  const why = `${name} set up an app of one-time codes, with a passkey: ${sayApproves(codes.rule.approves)} may be approved in that name by a code. If that was not ${name}, remove it on the page of passkeys.`
  await log.append({ type: 'alarm', atMs, data: { kind: 'code_added', person: name, why } })
  const sealed = codes.seal({ person: name, id }, secret)
  if (!(await people.addCodeApp(name, { id, sealed, addedAtMs: atMs, lastStep }))) throw hasOne()
}

function sayApproves(kinds: readonly string[]): string {
  return `what is ${kinds.join(' or ')}`
}

function checkAddable({ ports }: Site, { codeApp }: Person): void {
  if (ports.codes === undefined) throw off()
  if (codeApp !== null) throw hasOne()
}

function off(): Refused {
  return new Refused(
    403,
    'not_supported',
    'No code approves anything here: sallyport.yaml does not say totp.',
    notAdded,
    'Your passkey does all of it.',
  )
}

function hasOne(): Refused {
  return new Refused(409, 'not_in_scope', 'You have an app of codes.', notAdded, 'Remove that one first.')
}

function notShown(): Refused {
  return new Refused(
    409,
    'authentication_failed',
    'No secret was shown here just before, or too many codes were wrong.',
    notAdded,
    'Begin again on the page of your passkeys.',
  )
}

function notTheirs(): Refused {
  return new Refused(409, 'target_changed', 'You have no app of codes.', 'No app was removed.')
}
