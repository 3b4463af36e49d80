import { CommandFailure, exitCodes } from './failure.ts'
import { readRun } from './state-directory.ts'
import { z } from 'zod'

/** Where agents ask for handles (RFC 8693): on the listener for their HTTP, with what they hold, and no access to the gate's state. */

const answerTimeoutMs = 15_000
const answerShape = z.object({
  access_token: z.string(),
  expires_in: z.number(),
  scope: z.string().optional(),
  handle: z.string(),
  act: z.array(z.string()),
})
const problemShape = z.looseObject({ code: z.string(), title: z.string(), notDone: z.string(), next: z.string() }).partial()
export type Answered = z.infer<typeof answerShape>

export const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange'

/** @throws CommandFailure for a gate on another machine without TLS */
export function findGate({ gate, state }: { readonly gate?: string | undefined; readonly state: string }): URL {
  const address = gate ?? readRun(state)?.httpAddress
  if (address === undefined)
    throw notAsked(
      'No gate on this machine listens for agents’ HTTP.',
      'Set `listen: http:` in sallyport.yaml, or name a gate with --gate.',
    )
  const text = gate ?? `http://${address}`
  if (!URL.canParse(text)) throw notAsked('--gate is no URL.', 'Give one such as http://127.0.0.1:6480.')
  const url = new URL(text)
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isNear(url))) return url
  throw notAsked('A handle goes to another machine only over TLS.', 'Give an https URL.')
}

/** This machine: nobody else hears what goes there. */
export function isNear({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

export function notAsked(what: string, next: string): CommandFailure {
  return new CommandFailure(exitCodes.usage, 'usage', what, 'The gate was not asked.', next)
}

/** The new handle. @throws CommandFailure */
export async function askToken(gate: URL, form: URLSearchParams): Promise<Answered> {
  const answer = await ask(new URL('/token', gate), form)
  if (!answer.ok) throw await refused(answer)
  return answerShape.parse(await answer.json())
}

async function ask(url: URL, form: URLSearchParams): Promise<Response> {
  try {
    return await fetch(url, { method: 'POST', body: form, redirect: 'error', signal: AbortSignal.timeout(answerTimeoutMs) })
  } catch (error) {
    throw new CommandFailure(
      exitCodes.unreachable,
      'gate_unreachable',
      `The gate at ${url.origin} did not answer.`,
      'Whether a handle was made is not known; nobody has its secret.',
      'Look whether the gate runs: sallyport doctor.',
      { cause: error },
    )
  }
}

async function refused(answer: Response): Promise<CommandFailure> {
  const said = problemShape.catch({}).parse(await answer.json().catch(() => ({})))
  return new CommandFailure(
    exitCodes.refused,
    said.code ?? 'refused',
    said.title ?? `The gate answered ${answer.status}.`,
    said.notDone ?? 'No handle was made.',
    said.next ?? 'Ask for less.',
  )
}
