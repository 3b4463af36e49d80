import type { Isolation } from './isolation.ts'
import { cloudHost } from './playground/cloud/upstream.ts'
import { agentAuthorityFile } from './state-directory.ts'

/** What `up` knows when everything is ready. */
export interface Welcome {
  readonly isolation: Isolation
  readonly controlUrl: string
  readonly postgresAddress: string
  /** Where agents' HTTPS_PROXY leads; null when no http upstream is configured. */
  readonly httpAddress: string | null
  readonly configuration: string
  readonly stateDirectory: string
  /** Commands find the state by themselves. */
  readonly isDefaultState: boolean
  readonly secondsToReady: number
  readonly enrolmentUrl: string | null
  /** What the configuration file gives beyond what is in force, a line each. */
  readonly proposed: readonly string[]
  /** The playground's agent and a handle just issued to it; null with a configuration of one's own, or when the gate gave none. */
  readonly trial: Trial | null
}

interface Trial {
  readonly agent: string
  readonly handle: string
  readonly expiresInMinutes: number
  /** Id of the volume on which production's database lies. */
  readonly volume: string
}

/** The text `up` prints: what holds first, then where things are, then what to paste next. At most 36 lines. */
export function describeWelcome(welcome: Welcome): string {
  const { isolation, trial, httpAddress } = welcome
  const lines = [
    `Sallyport is ready (${welcome.secondsToReady.toFixed(1)} s). Isolation level ${isolation.level}: ${isolation.worth}.`,
  ]
  const [way] = isolation.waysAround
  const [mend] = isolation.mend
  if (way !== undefined) lines.push(`  This agent can walk around Sallyport: ${way}.`)
  if (mend !== undefined) lines.push(`  To mend it: ${mend}. More: ${commandOf(welcome, 'doctor')}`)
  lines.push('', `  agents connect to  ${welcome.postgresAddress} (PostgreSQL)`)
  if (httpAddress !== null) lines.push(`                     ${httpAddress} (HTTPS proxy)`)
  lines.push(`  people look at     ${welcome.controlUrl}`)
  lines.push(`  configuration      ${welcome.configuration}`, `  state and logs     ${welcome.stateDirectory}`)
  if (welcome.proposed.length > 0) lines.push(...describeProposal(welcome))
  if (welcome.enrolmentUrl !== null) {
    lines.push(
      '',
      '1. Enrol your passkey, so that you can approve. This link works once and is shown only here:',
      `   ${welcome.enrolmentUrl}`,
    )
  }
  if (trial) lines.push(...describeTour(welcome, trial))
  else
    lines.push(
      '',
      `Next: ${commandOf(welcome, 'run')} --agent NAME --upstream NAME -- COMMAND, or ${commandOf(welcome, 'handle issue NAME')}`,
    )
  lines.push('', 'Ctrl-C stops it all.', '')
  return lines.join('\n')
}

/** The terminal is short; the page has them all. */
const proposedShown = 5

function describeProposal({ proposed, controlUrl }: Welcome): readonly string[] {
  const rest = proposed.length - proposedShown
  return [
    '',
    'The configuration gives more than what people here accepted, so what they accepted last is in force. It would also give:',
    ...proposed.slice(0, proposedShown).map((line) => `  - ${line}`),
    ...(rest > 0 ? [`  and ${rest} more`] : []),
    `To have it: accept it with a passkey at ${controlUrl}/configuration, then start again.`,
  ]
}

function describeTour(welcome: Welcome, { agent, handle, expiresInMinutes, volume }: Trial): readonly string[] {
  const { host, port } = splitAddress(welcome.postgresAddress)
  const connect = (upstream: string, sql: string): string =>
    `   PGPASSWORD=${handle} psql "host=${host} port=${port} user=${agent} dbname=${upstream}" -c '${sql}'`
  const lines = [
    '',
    `2. Be the agent "${agent}" (this handle lives ${expiresInMinutes} minutes). A read runs at once:`,
    connect('production', 'SELECT status, count(*) FROM orders GROUP BY 1'),
    '',
    '3. What destroys waits for you; approve it under the address it prints, and it runs once copied:',
    connect('production', 'DROP TABLE audit_log'),
  ]
  if (welcome.httpAddress !== null) {
    const body = JSON.stringify({ query: `mutation { volumeDelete(volumeId: "${volume}") }` })
    const proxy = `curl --cacert ${quoteWord(agentAuthorityFile(welcome.stateDirectory))} -x http://${agent}:${handle}@${welcome.httpAddress}`
    lines.push(
      '   So does the one call of the incident, to a stand-in cloud that really holds production’s volume (it answers after 20 s):',
      `   ${proxy} https://${cloudHost}/graphql/v2 -H 'content-type: application/json' -d '${body}'`,
    )
  }
  lines.push('', `4. Put it back:                     ${commandOf(welcome, 'undo last')}`)
  lines.push(`   Stop everything the agent does:  ${commandOf(welcome, `kill --agent ${agent}`)}`)
  return lines
}

/** As a newcomer can paste it, who has `sallyport` on no PATH. */
function commandOf({ isDefaultState, stateDirectory }: Welcome, words: string): string {
  return `npx sallyport ${words}${isDefaultState ? '' : ` --state ${quoteWord(stateDirectory)}`}`
}

/** One word for a shell. */
function quoteWord(text: string): string {
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

export function splitAddress(address: string): { readonly host: string; readonly port: string } {
  const at = address.lastIndexOf(':')
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: address.slice(at + 1) }
}
