import type { Context } from 'hono'
import type { Admitted } from './admission.ts'
import { Refused } from './answer.ts'
import type { Person } from './ports.ts'
import { addSignedAct } from './signed-act.ts'
import { readId, type Site, type SiteApp } from './site.ts'

const notDone = 'Nobody was removed.'

/**
 * Removing a person only takes away, so one passkey is enough: an account that somebody else has must end at once. That it makes nobody the only
 * one who counts is the store's: whoever was ever enrolled is counted where one person alone must not let others in.
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
      const cancelled = await people.remove(name, by, clock.nowMs())
      if (cancelled === null)
        throw new Refused(
          409,
          'target_changed',
          'Somebody removed them before, or nobody would be left.',
          notDone,
          'Reload the People page.',
        )
      await control.configuration.forget(name)
      const { statement, challenge, credentialId: credential, evidence } = signed
      const data = { person: name, by, cancelled: [...cancelled], statement, challenge, credential, evidence }
      await log.append({ type: 'person.removed', atMs: clock.nowMs(), data })
      for (const request of cancelled) await log.append({ type: 'request.cancelled', atMs: clock.nowMs(), data: { request, by } })
      return { message: 'Removed.', go: '/people' }
    },
  })
}

async function findPerson({ ports }: Site, context: Context<Admitted>): Promise<Person> {
  const id = readId(context)
  const found = (await ports.people.list()).find(({ userHandle }) => userHandle === id)
  if (found === undefined)
    throw new Refused(404, 'not_in_scope', 'Nobody is enrolled under this id.', notDone, 'Reload the People page.')
  return found
}
