import type { Context } from 'hono'
import type { Admitted } from './admission.ts'
import type { Site } from './site.ts'

/** Tries a minute that are written down one by one. A flood of them is one fact, and must not fill the log. */
const triesPerMinute = 60
const pathLengthMax = 200

/**
 * Somebody whom the gate knows asked for something that does not exist here, and would change something: there is no verb by which a person, or
 * whoever took the operator's token or a person's browser, could lose a copy, and who looks for one is on the log.
 */
export async function tellTry(site: Site, context: Context<Admitted>, by: string): Promise<void> {
  const { method, path } = context.req
  if (method === 'GET' || method === 'HEAD' || !site.rate.take('tries', triesPerMinute)) return
  const data = { kind: 'control_refused', method, path: path.slice(0, pathLengthMax), by, what: 'There is no such verb.' }
  // It is refused all the same when the log cannot take it: then nothing else runs either.
  await Promise.allSettled([site.ports.log.append({ type: 'alarm', atMs: site.ports.clock.nowMs(), data })])
}

/** As `tellTry`, for a page's address; strangers are many, and can do nothing. */
export async function tellTryOfPerson(site: Site, context: Context<Admitted>): Promise<void> {
  const visitor = context.get('visitor')
  if (visitor?.kind === 'person') await tellTry(site, context, visitor.person.name)
}
