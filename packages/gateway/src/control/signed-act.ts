import { digestJson, type Json } from '@sallyport/core'
import type { Context } from 'hono'
import { z } from 'zod'
import type { Admitted } from './admission.ts'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import { createPendingChallenges } from './challenges.ts'
import { limits } from './limits.ts'
import { assertionOptions, assertionShape } from './passkeys.ts'
import type { Person, Signed } from './ports.ts'
import { requireSigner, type Site, type SiteApp, verifySigner } from './site.ts'

const emptyShape = z.strictObject({})
const finishShape = z.strictObject({ response: assertionShape })

type Facts = { readonly [key: string]: Json }

/** What takes a person's passkey besides a verdict: asked for at `options`, done at `finish`. */
export interface SignedAct {
  readonly options: string
  readonly finish: string
  /** Of this act alone: part of what is signed, and on the log when a signature is refused. */
  readonly purpose: string
  readonly notDone: string
  /** What exactly it is about, which is signed. Asked before and after the passkey. @throws Refused when it is not there to be done */
  about(context: Context<Admitted>, person: Person): Promise<Facts>
  /** What the page is told. */
  act(context: Context<Admitted>, person: Person, signed: Signed): Promise<{ readonly [key: string]: string }>
}

/** A signature counts once, in the session that was asked for it, over exactly what it was about then. */
export function addSignedAct(app: SiteApp, site: Site, signedAct: SignedAct): void {
  const { clock, random } = site.ports
  const { purpose, notDone } = signedAct
  const challenges = createPendingChallenges<Json>(clock)
  const keyOf = (about: Facts): string => `${purpose} ${digestJson(about)}`

  app.post(signedAct.options, async (context) => {
    const visitor = requireSigner(site, context)
    await readBody(context, emptyShape)
    const about = await signedAct.about(context, visitor.person)
    const expiresAtMs = clock.nowMs() + limits.challengeMs
    const statement = {
      ...about,
      v: 1,
      purpose: `sallyport ${purpose}`,
      person: visitor.person.name,
      nonce: random.hex(16),
      expiresAtMs,
    }
    const challenge = digestJson(statement)
    challenges.issue(visitor.browser, keyOf(about), challenge, statement)
    return context.json({ publicKey: assertionOptions(challenge, visitor.person.passkeys) })
  })

  app.post(signedAct.finish, async (context) => {
    const visitor = requireSigner(site, context)
    const { response } = await readBody(context, finishShape)
    const asked = challenges.take(visitor.browser, keyOf(await signedAct.about(context, visitor.person)))
    if (asked === null)
      throw new Refused(
        409,
        'authentication_failed',
        'This signature was not asked for here, was used, or came too late.',
        notDone,
      )
    const signature = await verifySigner(site, visitor.person, response, asked.challenge, { what: purpose })
    const signed = { person: visitor.person.name, challenge: asked.challenge, statement: asked.matter, ...signature }
    return context.json(await signedAct.act(context, visitor.person, signed))
  })
}
