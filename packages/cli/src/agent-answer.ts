import { visibleLine } from '@sallyport/core'
import { z } from 'zod'
import { readStandardInput } from './reference.ts'

/** How a request of an agent's stands, as the gate tells the agent. */
export const answerShape = z.object({
  id: z.string(),
  state: z.string(),
  summary: z.string(),
  approvalsGiven: z.number(),
  approvalsNeeded: z.number(),
  reasons: z.array(z.string()),
  url: z.string(),
  next: z.string(),
})
/** In words, for a terminal. */
export function sayAnswer({
  id,
  state,
  summary,
  approvalsGiven,
  approvalsNeeded,
  reasons,
  url,
  next,
}: z.infer<typeof answerShape>): string {
  const said = reasons.map((reason) => `  “${visibleLine(reason)}”\n`).join('')
  return `Request ${id} is ${state.replaceAll('_', ' ')} (${approvalsGiven} of ${approvalsNeeded}): ${visibleLine(summary)}\n${said}${next}\nPeople decide at ${url}\n`
}

/** The agent's name and its handle, which comes on standard input, as the gate takes them. */
export async function readCredentials(agent: string): Promise<string> {
  return `Basic ${Buffer.from(`${agent}:${await readStandardInput('handle')}`, 'utf8').toString('base64')}`
}
