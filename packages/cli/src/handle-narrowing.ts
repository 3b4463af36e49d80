import { Command } from 'commander'
import { z } from 'zod'
import { parseDuration } from './duration.ts'
import { CommandFailure, exitCodes } from './failure.ts'
import { readStandardInput } from './reference.ts'
import { readRun, stateOption } from './state-directory.ts'

const answerTimeoutMs = 15_000

const narrowShape = z.object({
  agent: z.string(),
  for: z.string(),
  may: z.array(z.string()).min(1),
  ttl: z.number().optional(),
  uses: z.string().optional(),
  gate: z.string().optional(),
  state: z.string(),
  json: z.boolean().default(false),
})
type Options = z.infer<typeof narrowShape>

const answerShape = z.object({
  access_token: z.string(),
  expires_in: z.number(),
  scope: z.string(),
  handle: z.string(),
  act: z.array(z.string()),
})
const problemShape = z.looseObject({ code: z.string(), title: z.string(), notDone: z.string(), next: z.string() }).partial()

/** Asks where agents do, with the handle alone: whoever holds one needs no access to the gate's state, and gets no more than a part of it. */
export function makeNarrowCommand(): Command {
  return new Command('narrow')
    .description(
      'Makes a handle out of the one on standard input that may do less, for a part of an agent. It ends with the one it was made of, at the latest.',
    )
    .requiredOption('--agent <name>', 'whose handle it is')
    .requiredOption('--for <name>', 'who will hold the new one: a name that you choose, on the log with all that it does')
    .requiredOption('--may <scope...>', 'as in sallyport.yaml, such as "read orders-db"; again for more')
    .option('--ttl <duration>', 'how long it lives, such as 10m; as long as the other, if not said', parseDuration)
    .option('--uses <number>', 'how many sessions it may open in all')
    .option('--gate <url>', 'where agents’ HTTP goes; that of the gate on this machine, if not said')
    .addOption(stateOption())
    .option('--json', 'one JSON object: id, agent, handle, expiresAt, act, scope')
    .action(async (given: unknown) => narrow(narrowShape.parse(given)))
}

async function narrow(options: Options): Promise<void> {
  const gate = findGate(options)
  const handle = await readStandardInput('handle')
  const form = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    client_id: options.agent,
    subject_token: handle,
    actor: options.for,
    scope: options.may.map((scope) => scope.trim().replace(/\s+/, ':')).join(' '),
    ...(options.ttl === undefined ? {} : { expires_in: String(Math.max(1, Math.floor(options.ttl / 1_000))) }),
    ...(options.uses === undefined ? {} : { uses: options.uses }),
  })
  const answer = await ask(new URL('/token', gate), form)
  if (!answer.ok) throw await refused(answer)
  const made = answerShape.parse(await answer.json())
  const expiresAt = new Date(Date.now() + made.expires_in * 1_000).toISOString()
  if (options.json) {
    const { agent } = options
    const shown = { id: made.handle, agent, handle: made.access_token, expiresAt, act: made.act, scope: made.scope }
    process.stdout.write(`${JSON.stringify(shown)}\n`)
    return
  }
  process.stdout.write(
    [
      `Handle ${made.handle} of ${made.act.join(' → ')}, until ${expiresAt}: ${made.scope}. It is shown only here:`,
      '',
      `  ${made.access_token}`,
      '',
      `It is used as any handle of ${options.agent} is, with that name.`,
      '',
    ].join('\n'),
  )
}

function findGate({ gate, state }: Options): URL {
  const address = gate ?? readRun(state)?.httpAddress
  if (address === undefined)
    throw notAsked(
      'No gate on this machine listens for agents’ HTTP.',
      'Set `listen: http:` in sallyport.yaml, or name a gate with --gate.',
    )
  const text = gate ?? `http://${address}`
  if (!URL.canParse(text)) throw notAsked('--gate is no URL.', 'Give one such as http://127.0.0.1:6480.')
  const url = new URL(text)
  const isNear = url.hostname === 'localhost' || url.hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(url.hostname)
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isNear)) return url
  throw notAsked('A handle goes to another machine only over TLS.', 'Give an https URL.')
}

function notAsked(what: string, next: string): CommandFailure {
  return new CommandFailure(exitCodes.usage, 'usage', what, 'The gate was not asked.', next)
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
