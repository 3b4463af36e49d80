import { z } from 'zod'
import { CommandFailure, exitCodes } from './failure.ts'
import { readRun } from './state-directory.ts'

/** Where agents ask the gate itself, with the handle alone. */

const problemShape = z.looseObject({ code: z.string(), title: z.string(), notDone: z.string(), next: z.string() }).partial()

/** @throws CommandFailure when no gate is found, or the way to it would show the handle */
export function findAgentGate({ gate, state }: { readonly gate?: string | undefined; readonly state: string }): URL {
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

/** @param unknown what nobody can tell when no answer comes */
export async function askAgentGate(url: URL, init: RequestInit, unknown: string, timeoutMs = answerTimeoutMs): Promise<Response> {
  try {
    return await fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(timeoutMs) })
  } catch (error) {
    throw new CommandFailure(
      exitCodes.unreachable,
      'gate_unreachable',
      `The gate at ${url.origin} did not answer.`,
      unknown,
      'Look whether the gate runs: sallyport doctor.',
      { cause: error },
    )
  }
}

export async function refusedByGate(answer: Response, notDone: string): Promise<CommandFailure> {
  const said = problemShape.catch({}).parse(await answer.json().catch(() => ({})))
  return new CommandFailure(
    exitCodes.refused,
    said.code ?? 'refused',
    said.title ?? `The gate answered ${answer.status}.`,
    said.notDone ?? notDone,
    said.next ?? 'Ask for less.',
  )
}

export const answerTimeoutMs = 15_000
