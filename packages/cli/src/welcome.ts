import type { Isolation } from './isolation.ts'

/** What `up` knows when everything is ready. */
export interface Welcome {
  readonly isolation: Isolation
  readonly controlUrl: string
  readonly postgresAddress: string
  readonly configuration: string
  readonly stateDirectory: string
  readonly secondsToReady: number
  readonly enrolmentUrl: string | null
  /** The playground's agent and a handle just issued to it; null with a configuration of one's own, or when the gate gave none. */
  readonly trial: { readonly agent: string; readonly handle: string; readonly expiresInMinutes: number } | null
}

/** The text `up` prints: what holds first, then where things are, then what to paste next. At most 30 lines. */
export function describeWelcome(welcome: Welcome): string {
  const { isolation, trial } = welcome
  const lines = [
    `Sallyport is ready (${welcome.secondsToReady.toFixed(1)} s). Isolation level ${isolation.level}: ${isolation.worth}.`,
  ]
  const [way] = isolation.waysAround
  const [mend] = isolation.mend
  if (way !== undefined) lines.push(`  This agent can walk around Sallyport: ${way}.`)
  if (mend !== undefined) lines.push(`  To mend it: ${mend}. More: sallyport doctor`)
  lines.push('', `  agents connect to  ${welcome.postgresAddress}`, `  people look at     ${welcome.controlUrl}`)
  lines.push(`  configuration      ${welcome.configuration}`, `  state and logs     ${welcome.stateDirectory}`)
  if (welcome.enrolmentUrl !== null) {
    lines.push(
      '',
      '1. Enrol your passkey, so that you can approve. This link works once and is shown only here:',
      `   ${welcome.enrolmentUrl}`,
    )
  }
  if (trial) {
    const { host, port } = splitAddress(welcome.postgresAddress)
    const connect = (upstream: string, sql: string): string =>
      `   PGPASSWORD=${trial.handle} psql "host=${host} port=${port} user=${trial.agent} dbname=${upstream}" -c '${sql}'`
    lines.push('', `2. Be the agent "${trial.agent}" (this handle lives ${trial.expiresInMinutes} minutes). A read runs at once:`)
    lines.push(connect('production', 'SELECT status, count(*) FROM orders GROUP BY 1'))
    lines.push('', '3. What destroys waits for you; approve it under the address it prints, and it runs once copied:')
    lines.push(connect('production', 'DROP TABLE audit_log'))
    lines.push(
      '',
      '4. Put it back: sallyport undo last        Stop everything the agent does: sallyport kill --agent ' + trial.agent,
    )
  } else {
    lines.push('', 'Next: sallyport run --agent NAME --upstream NAME -- COMMAND, or sallyport handle issue NAME')
  }
  lines.push('', 'Ctrl-C stops it all.', '')
  return lines.join('\n')
}

export function splitAddress(address: string): { readonly host: string; readonly port: string } {
  const at = address.lastIndexOf(':')
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: address.slice(at + 1) }
}
