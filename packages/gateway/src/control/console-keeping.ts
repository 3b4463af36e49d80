import type { JobView } from '@sallyport/console'
import type { KeepingJob, KeepingResult } from '@sallyport/core'
import { z } from 'zod'
import { requirePerson } from './admission.ts'
import { readBody } from './body.ts'
import { notFound, readId, type Site, type SiteApp } from './site.ts'

/** What a person may begin without a passkey, since none of it takes anything away: a copy, a restore to a place of its own, and putting back what is missing. */
const orderShape = z.strictObject({ what: z.enum(['copy', 'drill', 'restore']), name: z.string().min(1).max(64) })

/** Work on kept things, begun by people and looked at while it goes on. */
export function addKeepingPageRoutes(app: SiteApp, { ports: { control } }: Site): void {
  app.post('/console/keeping', async (context) => {
    const { person } = requirePerson(context.get('visitor'))
    const order = await readBody(context, orderShape)
    return context.json(viewJob(control.keeping.begin({ ...order, snapshot: null, thing: null }, person.name)))
  })
  app.get('/console/data/keeping/:id', (context) => {
    const job = control.keeping.job(readId(context))
    if (job === null) throw notFound()
    return context.json(viewJob(job))
  })
}

function viewJob({ id, order, state, step, done, total, result, error }: KeepingJob): JobView {
  const sentence = error === null ? (result === null ? '' : sayResult(result)) : `${error.message} ${error.notDone} ${error.next}`
  return { id, what: order.what, name: order.name, state, step, done, total, sentence: sentence.slice(0, 1000).toWellFormed() }
}

function sayResult(result: KeepingResult): string {
  switch (result.what) {
    case 'copy':
      return `Copied and proven: ${result.rows.toLocaleString('en-US')} rows of ${result.things.toLocaleString('en-US')} things.`
    case 'drill':
      return `${result.drill.passed ? 'The drill passed' : 'The drill failed'}: ${result.drill.why}`
    case 'restore':
      return `Put back ${result.put.toLocaleString('en-US')} to ${result.place}; ${result.same.toLocaleString('en-US')} were there already, ${result.left.toLocaleString('en-US')} are something else now and were left alone.`
    case 'extract':
      return `Taken out: ${result.rows.toLocaleString('en-US')} rows.`
  }
}
