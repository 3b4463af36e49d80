import { z } from 'zod'
import { askAgentGate, refusedByGate } from './agent-gate.ts'

/** Where agents and workloads ask for handles (RFC 8693): on the listener for their HTTP, with what they hold. */

const answerShape = z.object({
  access_token: z.string(),
  expires_in: z.number(),
  scope: z.string().default(''),
  handle: z.string(),
  act: z.array(z.string()),
})

/** The new handle. @throws CommandFailure */
export async function askToken(gate: URL, fields: Readonly<Record<string, string>>): Promise<z.infer<typeof answerShape>> {
  const body = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', ...fields })
  const unknown = 'Whether a handle was made is not known; nobody has its secret.'
  const answer = await askAgentGate(new URL('/token', gate), { method: 'POST', body }, unknown)
  if (!answer.ok) throw await refusedByGate(answer, 'No handle was made.')
  return answerShape.parse(await answer.json())
}
