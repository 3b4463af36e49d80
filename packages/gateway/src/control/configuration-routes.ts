import { renderConfiguration } from '@sallyport/console'
import { isSamePerson, visibleLine } from '@sallyport/core'
import { z } from 'zod'
import { requirePerson } from './admission.ts'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import type { Proposed } from './ports.ts'
import { needsConfirmation } from './second-person.ts'
import { addSignedAct } from './signed-act.ts'
import { makeFrame, readId, signedIn, type Site, type SiteApp, toSignIn } from './site.ts'

const emptyShape = z.strictObject({})

/** What the configuration file gives beyond what is in force, and people's passkeys over it (DESIGN §6: widening is itself an operation people approve). */
export function addConfigurationRoutes(app: SiteApp, site: Site): void {
  const { configuration } = site.ports.control
  app.get('/configuration', async (context) => {
    const person = signedIn(context)
    if (person === null) return toSignIn(context)
    const proposal = configuration.proposal()
    return context.html(
      renderConfiguration(await makeFrame(site, context), {
        path: configuration.path,
        textInForce: configuration.textInForce,
        proposal,
        needed: await countNeeded(site),
        coolOffMs: configuration.coolOffMs,
        hasAccepted: proposal?.acceptances.some((one) => isSamePerson(one.person, person.name)) === true,
      }),
    )
  })
  app.post('/configuration/reread', async (context) => {
    requirePerson(context.get('visitor'))
    await readBody(context, emptyShape)
    return context.json({ message: (await configuration.reread()).outcome, go: '/configuration' })
  })
  app.post('/configuration/:id/withdraw', async (context) => {
    const { person } = requirePerson(context.get('visitor'))
    await readBody(context, emptyShape)
    if (!(await configuration.withdraw(readId(context), person.name))) throw gone('Nothing was withdrawn.')
    return context.json({ message: 'Withdrawn. What was in force stays in force.' })
  })
  addAcceptRoutes(app, site)
}

function addAcceptRoutes(app: SiteApp, site: Site): void {
  const { configuration } = site.ports.control
  const notDone = 'Nothing was accepted.'
  addSignedAct(app, site, {
    options: '/configuration/:id/options',
    finish: '/configuration/:id/accept',
    purpose: 'configuration',
    notDone,
    about: async (context) => {
      const { digest, textSha256, widenings, text } = findProposal(site, readId(context), notDone)
      const unmet = await site.ports.control.policyDesk.unmet(text)
      if (unmet.length > 0)
        throw new Refused(
          409,
          'refused_by_guard',
          unmet.slice(0, 5).map(visibleLine).join(' '),
          notDone,
          'Mend the text, or what it expects.',
        )
      return { digest, textSha256, widenings }
    },
    act: async (context, _person, signed) => {
      const accepted = await configuration.accept(readId(context), signed, await countNeeded(site))
      if (accepted === null) throw gone(notDone)
      return { message: accepted.missing > 0 ? 'Accepted by you.' : 'Accepted.', go: '/configuration' }
    },
  })
}

/** In a team nobody widens alone, from the second person on. */
async function countNeeded({ ports }: Site): Promise<number> {
  return needsConfirmation(ports.control, await ports.people.ever()) ? 2 : 1
}

function findProposal(site: Site, digest: string, notDone: string): Proposed {
  const proposal = site.ports.control.configuration.proposal()
  if (proposal?.digest !== digest) throw gone(notDone)
  return proposal
}

function gone(notDone: string): Refused {
  return new Refused(409, 'target_changed', 'This is no longer what is proposed.', notDone, 'Reload the page and read it again.')
}
