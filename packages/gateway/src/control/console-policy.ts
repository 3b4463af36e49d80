import type { PolicyView } from '@sallyport/console'
import { z } from 'zod'
import { requirePerson, tooOften } from './admission.ts'
import { readBody } from './body.ts'
import { limits, rates } from './limits.ts'
import type { Site, SiteApp } from './site.ts'

const textShape = z.strictObject({ text: z.string().max(limits.textCharacters) })
const lineShape = z.string().min(1).max(400)
const changeShape = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.enum(['remove_scope', 'add_scope']),
    agent: z.string().min(1).max(64),
    lines: z.array(lineShape).min(1).max(64),
  }),
  z.strictObject({ kind: z.literal('rows'), rows: z.int().min(0).max(1_000_000) }),
  z.strictObject({ kind: z.literal('expect'), line: lineShape }),
])

/** Trying another policy, and proposing it. What is proposed is accepted with passkeys on the configuration's page, or by nobody. */
export function addPolicyRoutes(app: SiteApp, site: Site): void {
  const { configuration, policyDesk } = site.ports.control
  app.get('/console/data/policy', async (context) => context.json(await viewPolicy(site)))
  app.get('/console/data/policy/text', (context) =>
    context.json({ inForce: configuration.textInForce, proposed: configuration.proposal()?.text ?? null }),
  )
  app.post('/console/policy/draft', async (context) => {
    requirePerson(context.get('visitor'))
    return context.json({ text: policyDesk.draft(await readBody(context, changeShape)) })
  })
  app.post('/console/policy/try', async (context) => {
    const { browser } = requirePerson(context.get('visitor'))
    const { text } = await readBody(context, textShape)
    if (!site.rate.take(`trial ${browser}`, rates.trials)) throw tooOften()
    return context.json(await policyDesk.trial(text))
  })
  app.post('/console/policy/propose', async (context) => {
    const { browser, person } = requirePerson(context.get('visitor'))
    const { text } = await readBody(context, textShape)
    if (!site.rate.take(`trial ${browser}`, rates.trials)) throw tooOften()
    return context.json(await policyDesk.propose(text, person.name))
  })
}

/** What decides, in words, how often it asked, and whether it keeps to what is expected. */
async function viewPolicy({ ports }: Site): Promise<PolicyView> {
  const { control, overview, clock, requests } = ports
  const { hash, guards, rowsWithoutPrompt, coolOffMs, retainMs, requestMs, acceptRisk } = overview.policy()
  const asked = (await requests.list()).flatMap(({ question }) => question.guards)
  const proposal = control.configuration.proposal()
  return {
    nowMs: clock.nowMs(),
    mode: control.posture().mode,
    hash,
    path: control.configuration.path,
    guards: guards.map(({ id, why, obligation }) => ({ id, why, needs: obligation })),
    expectations: await control.policyDesk.expectations(),
    rowsWithoutPrompt,
    coolOffMs,
    retainMs,
    requestMs,
    acceptedRisks: acceptRisk,
    asked: [...new Set(asked)].map((id) => ({ id, count: asked.filter((one) => one === id).length })),
    proposal: proposal === null ? null : { widenings: proposal.widenings, proposedAtMs: proposal.proposedAtMs, by: proposal.by },
  }
}
