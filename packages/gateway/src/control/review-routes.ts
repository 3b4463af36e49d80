import { isSamePerson, type Review } from '@sallyport/core'
import type { Context } from 'hono'
import type { Admitted } from './admission.ts'
import { Refused } from './answer.ts'
import type { Person } from './ports.ts'
import { addSignedAct } from './signed-act.ts'
import { readId, type Site, type SiteApp } from './site.ts'

const notDone = 'It still waits for somebody to look at it.'

/** Somebody else looks at what one person broke glass for, and says so with a passkey. */
export function addReviewRoutes(app: SiteApp, site: Site): void {
  const { control } = site.ports
  addSignedAct(app, site, {
    options: '/requests/:id/review/options',
    finish: '/requests/:id/review',
    purpose: 'review',
    notDone,
    about: async (context, person) => ({ reviews: (await findReview(site, context, person)).request }),
    act: async (context, person, signed) => {
      const { request } = await findReview(site, context, person)
      if (!(await control.closeReview(request, signed))) throw gone()
      return { message: 'Reviewed.', go: `/requests/${request}` }
    },
  })
}

async function findReview({ ports }: Site, context: Context<Admitted>, person: Person): Promise<Review> {
  const id = readId(context)
  const review = (await ports.control.reviews()).find(({ request }) => request === id)
  if (review === undefined) throw gone()
  const isOwn = isSamePerson(review.person, person.name)
  const isOwner = ports.control.posture().mode === 'team' && isSamePerson(review.owner, person.name)
  if (!isOwn && !isOwner) return review
  const why = isOwn
    ? 'You broke the glass. Somebody else has to look at it.'
    : 'You own this agent. Somebody else has to look at it.'
  throw new Refused(403, 'refused_by_guard', why, notDone, 'Ask a colleague.')
}

function gone(): Refused {
  return new Refused(
    409,
    'target_changed',
    'Somebody has looked at it already, or there was nothing to look at.',
    notDone,
    'Reload the page.',
  )
}
