import { readFile, stat } from 'node:fs/promises'
import { Command } from 'commander'
import { z } from 'zod'
import { findAgentGate, isNear, notAsked } from './agent-gate.ts'
import { parseDuration } from './duration.ts'
import { CommandFailure, exitCodes } from './failure.ts'
import { readStandardInput } from './reference.ts'
import { stateOption } from './state-directory.ts'
import { askToken } from './token-endpoint.ts'

const answerTimeoutMs = 15_000
/** As the gate takes. */
const tokenBytesMax = 8 * 1024

const exchangeShape = z.object({
  agent: z.string(),
  tokenFile: z.string().optional(),
  github: z.string().optional(),
  ttl: z.number().optional(),
  gate: z.string().optional(),
  state: z.string(),
  json: z.boolean().default(false),
  bare: z.boolean().default(false),
})
type Options = z.infer<typeof exchangeShape>

/** For jobs and services that hold no secret of ours: what they are is proven by a token of their own issuer, made for this gate. */
export function makeExchangeCommand(): Command {
  return new Command('exchange')
    .description(
      'Shows the gate an OIDC token of a CI job or a service, on standard input unless said otherwise, and prints the handle it gives for it.',
    )
    .requiredOption('--agent <name>', 'whose handle it is to be')
    .option('--token-file <path>', 'where the token lies, such as a projected service account token of Kubernetes')
    .option('--github <audience>', 'in a job of GitHub Actions: asks GitHub for the token, for this audience')
    .option('--ttl <duration>', 'how long it lives, such as 10m; never longer than the token', parseDuration)
    .option('--gate <url>', 'where agents’ HTTP goes; that of the gate on this machine, if not said')
    .addOption(stateOption())
    .option('--bare', 'the handle alone')
    .option('--json', 'one JSON object: id, agent, handle, expiresAt')
    .action(async (given: unknown) => exchange(exchangeShape.parse(given)))
}

async function exchange(options: Options): Promise<void> {
  const { agent, ttl } = options
  const gate = findAgentGate(options)
  const made = await askToken(gate, {
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    client_id: agent,
    subject_token: await readToken(options),
    ...(ttl === undefined ? {} : { expires_in: String(Math.max(1, Math.floor(ttl / 1_000))) }),
  })
  const expiresAt = new Date(Date.now() + made.expires_in * 1_000).toISOString()
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ id: made.handle, agent, handle: made.access_token, expiresAt })}\n`)
    return
  }
  process.stdout.write(
    options.bare
      ? `${made.access_token}\n`
      : `Handle ${made.handle} of ${agent}, until ${expiresAt}. It is shown only here:\n\n  ${made.access_token}\n\n`,
  )
}

async function readToken({ tokenFile, github }: Options): Promise<string> {
  if (tokenFile !== undefined && github !== undefined)
    throw notAsked('A token comes from one place.', 'Give --token-file or --github, not both.')
  if (github !== undefined) return askGithub(github)
  if (tokenFile === undefined) return readStandardInput('token')
  const { size } = await stat(tokenFile).catch(() => ({ size: 0 }))
  if (size === 0 || size > tokenBytesMax)
    throw notAsked(`No token of at most ${tokenBytesMax} bytes lies at ${tokenFile}.`, 'Look at the path.')
  return (await readFile(tokenFile, 'utf8')).trim()
}

const tokenShape = z.object({ value: z.string().min(1).max(tokenBytesMax) })

/** As GitHub documents it: the runner's environment says where, and with which bearer token. */
async function askGithub(audience: string): Promise<string> {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: place = '', ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer = '' } = process.env
  if (!URL.canParse(place) || bearer === '')
    throw notAsked('This is no job of GitHub Actions that may ask for a token.', 'Give the job `permissions: id-token: write`.')
  const url = new URL(place)
  if (url.protocol !== 'https:' && !isNear(url))
    throw notAsked('GitHub is asked only over TLS.', 'Look at ACTIONS_ID_TOKEN_REQUEST_URL.')
  url.searchParams.set('audience', audience)
  try {
    const signal = AbortSignal.timeout(answerTimeoutMs)
    const answer = await fetch(url, { headers: { authorization: `Bearer ${bearer}` }, redirect: 'error', signal })
    return tokenShape.parse(await answer.json()).value
  } catch {
    // What the answer was is not said: it may be the token.
    throw new CommandFailure(
      exitCodes.unreachable,
      'issuer_unreachable',
      'GitHub gave no token.',
      'The gate was not asked.',
      'Try again; look whether the job has `permissions: id-token: write`.',
    )
  }
}
