import axe from 'axe-core'
import { z } from 'zod'
import type { BrowserPerson } from '../fakes/browser.ts'

const axeShape = z.object({
  violations: z.array(
    z.object({ id: z.string(), help: z.string(), nodes: z.array(z.object({ html: z.string(), failureSummary: z.string() })) }),
  ),
})

/** What axe finds on the page that this person looks at, a line each. */
export async function findBarriers({ page }: BrowserPerson, options: object = {}): Promise<readonly string[]> {
  await page.evaluate(axe.source)
  const found = axeShape.parse(
    await page.evaluate(`axe.run(document, ${JSON.stringify({ ...options, resultTypes: ['violations'] })})`),
  )
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary.slice(0, 200)}`),
  )
}
