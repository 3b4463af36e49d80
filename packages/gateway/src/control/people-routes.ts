import { renderPeople } from '@sallyport/console'
import { isSamePerson } from '@sallyport/core'
import { isUnconfirmed, needsConfirmation } from './second-person.ts'
import { makeFrame, signedIn, type Site, type SiteApp, toSignIn } from './site.ts'

/** Who is enrolled, who let them in, and which invitations are open. */
export function addPeopleRoutes(app: SiteApp, site: Site): void {
  const { clock, links, people, control } = site.ports
  app.get('/people', async (context) => {
    const person = signedIn(context)
    if (person === null) return toSignIn(context)
    const [enrolled, ever] = await Promise.all([people.list(), people.ever()])
    const open = await links.open(clock.nowMs())
    return context.html(
      renderPeople(await makeFrame(site, context), {
        people: enrolled.map(({ name, userHandle, enrolledAtMs, passkeys, admission }) => ({
          id: userHandle,
          name,
          enrolledAtMs,
          passkeys: passkeys.length,
          admission,
        })),
        invitations: open.flatMap((link) =>
          link.invitedBy === null
            ? []
            : [
                {
                  id: link.tokenSha256,
                  invitedBy: link.invitedBy,
                  createdAtMs: link.createdAtMs,
                  expiresAtMs: link.expiresAtMs,
                  confirmedBy: link.confirmation?.person ?? null,
                  waits: isUnconfirmed(control, link, ever),
                  isOwn: isSamePerson(link.invitedBy, person.name),
                },
              ],
        ),
        removed: ever.flatMap(({ name, userHandle, removed }) =>
          removed === null ? [] : [{ id: userHandle, name, ...removed, isOwn: isSamePerson(removed.by, person.name) }],
        ),
        needsSecond: needsConfirmation(control, ever),
        alone: ever.length < 2,
        onCall: site.ports.overview.onCall?.() ?? [],
      }),
    )
  })
}
