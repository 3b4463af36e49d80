import { type AccessRequest, type Approval, codeChallengeOf, findCodeFault, findCodeStep } from '@sallyport/core'
import { z } from 'zod'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import type { CodeApp, Codes } from './code-ports.ts'
import type { Person } from './ports.ts'
import { changed, checkOpen, checkOwner } from './request-routes.ts'
import { findRequest, readId, refuseSignature, requireSigner, type Site, type SiteApp } from './site.ts'
import { isEqualSecret } from './visitor.ts'

const notDone = 'No verdict was given.'

/** `shown`: made of the request's digest, nonce and expiry, by the page that showed it. */
const bodyShape = z.strictObject({
  code: z.string().max(16),
  reason: z.string().max(1000),
  shown: z.string().regex(/^[0-9a-f]{64}$/),
})

/**
 * A yes by a one-time code, where policy lets it be one: in a session that a passkey opened, for the request that its page showed. It signs nothing, so
 * all that binds it to that request is this session; the verdict says so wherever it is shown.
 */
export function addCodeVerdictRoute(app: SiteApp, site: Site): void {
  app.post('/requests/:id/code', async (context) => {
    const { person } = requireSigner(site, context)
    const { code, reason, shown } = await readBody(context, bodyShape)
    const request = await findRequest(site, readId(context))
    checkOpen(site, request)
    await checkOwner(site, person, request)
    if (!isEqualSecret(codeChallengeOf(request), shown)) throw changed()
    const { codes, codeApp } = await requireCode(site, person, request)
    const step = await takeCode(site, { person, codeApp, codes, request }, code.replaceAll(' ', ''))
    const approval: Approval = {
      person: person.name,
      verdict: 'approve',
      atMs: site.ports.clock.nowMs(),
      challenge: shown,
      credentialId: `totp:${codeApp.id}`,
      evidence: { signed: false, app: codeApp.id, step },
      reason: reason.trim().toWellFormed(),
      method: 'totp',
    }
    const result = await site.ports.control.verdict(request.id, approval)
    switch (result.result) {
      case 'recorded':
        return context.json({ message: `Recorded: ${result.state}.`, state: result.state, go: `/requests/${request.id}` })
      case 'refused':
        throw new Refused(409, 'refused_by_guard', result.why, notDone, 'Nothing more to do here.')
    }
  })
}

/** Said before the code is looked at, so that it is not used up by what it could not approve. */
async function requireCode(
  site: Site,
  person: Person,
  request: AccessRequest,
): Promise<{ readonly codes: Codes; readonly codeApp: CodeApp }> {
  const { codes } = site.ports
  const fault = findCodeFault(codes?.rule ?? null, request.question)
  if (fault !== null || codes === undefined) {
    const why = fault ?? 'No code approves anything here.'
    await refuseSignature(site, person, why, { request: request.id, verdict: 'approve', method: 'totp' })
    throw new Refused(403, 'refused_by_guard', why, notDone, 'Approve it with your passkey.')
  }
  if (person.codeApp === null)
    throw new Refused(403, 'authentication_failed', 'You have no app of codes.', notDone, 'Approve it with your passkey.')
  return { codes, codeApp: person.codeApp }
}

interface Tried {
  readonly person: Person
  readonly codeApp: CodeApp
  readonly codes: Codes
  readonly request: AccessRequest
}

/** The step that the code belongs to, used up. @throws Refused, with the try on the log */
async function takeCode(site: Site, { person, codeApp, codes, request }: Tried, code: string): Promise<number> {
  const { people, clock } = site.ports
  const { name } = person
  const refuse = async (why: string, next: string): Promise<never> => {
    await refuseSignature(site, person, why, { request: request.id, verdict: 'approve', method: 'totp' })
    throw new Refused(403, 'authentication_failed', why, notDone, next)
  }
  // Counted before it is looked at: a wrong code that is never counted could be tried a million times at once.
  if (!(await people.tryCode(name, codeApp.id)))
    return refuse(
      'No code of yours counts any more: too many in a row were wrong, or the app was removed.',
      'Approve with your passkey, which works as before. To use codes again, remove the app with it and set it up anew.',
    )
  const secret = codes.open({ person: name, id: codeApp.id }, codeApp.sealed)
  if (secret === null)
    return refuse(
      'The gate cannot open the secret of your codes: its key is another one.',
      'Approve with your passkey. Remove the app with it and set it up anew.',
    )
  const step = findCodeStep(secret, code, clock.nowMs())
  if (step === null) {
    await ringIfLocked(site, name)
    return refuse('This is not the code of now.', 'Look at the app and the clock of its device, or use your passkey.')
  }
  if (!(await people.useCode(name, codeApp.id, step)))
    return refuse('This code was used already, here or at another gate.', 'Wait for the next one, or use your passkey.')
  return step
}

/** Somebody guessed until nobody may guess any more: everybody who is told of alarms hears of it. */
async function ringIfLocked({ ports: { people, log, clock } }: Site, name: string): Promise<void> {
  const now = (await people.list()).find((one) => one.name === name)?.codeApp ?? null
  if (now === null || !now.isLocked) return
  const why = `Too many wrong codes in a row for ${name}: none counts any more. Passkeys work as before.`
  await log.append({ type: 'alarm', atMs: clock.nowMs(), data: { kind: 'code_locked', person: name, why } })
}
