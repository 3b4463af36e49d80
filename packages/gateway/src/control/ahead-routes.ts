import { aheadMsMax, aheadUsesMax } from '@sallyport/core'
import { z } from 'zod'
import { requirePerson } from './admission.ts'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import { readId, type Site, type SiteApp } from './site.ts'

const bodyShape = z.strictObject({ uses: z.int().min(1).max(aheadUsesMax), forMs: z.int().min(1).max(aheadMsMax) })

/** Puts to people that what they always say yes to is answered ahead. It gives nothing: that takes their passkeys, on the page of the new request. */
export function addAheadRoute(app: SiteApp, site: Site): void {
  app.post('/requests/:id/ahead', async (context) => {
    const { person } = requirePerson(context.get('visitor'))
    const wanted = await readBody(context, bodyShape)
    const asked = await site.ports.control.askAhead?.(readId(context), wanted, person.name)
    if (asked === undefined)
      throw new Refused(
        403,
        'not_supported',
        'Nothing is approved ahead here.',
        'Nothing was asked of people.',
        'Answer it each time.',
      )
    return context.json({ message: 'Asked.', go: `/requests/${asked.id}` })
  })
}
