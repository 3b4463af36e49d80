import { visibleLine } from '@sallyport/core'
import type { PublicFinding } from './public-finding.ts'
import type { Dropped, Provisioned } from './provision.ts'
import { shown } from './role-privileges.ts'
import type { ProofLine, Verdict } from './role-proof.ts'

export interface About {
  readonly configuration: string
  readonly upstream: string
  readonly agent: string
  readonly may: readonly string[]
}

/** What no server lets anyone be kept from; said, so that nobody thinks the role holds it. */
const unfenced = [
  'change its own password and its own default settings, when it gets past its read-only default (run this again to put both back)',
  'send NOTIFY, take advisory locks, sleep and compute, end sessions of its own role',
  'see the names of all tables, columns, functions and roles in the catalog',
]

const verdicts: Readonly<Record<Provisioned['state'], string>> = {
  planned: 'Nothing was changed (--dry-run). What would be made:',
  made: 'Made',
  renewed: 'Made anew',
  removed: 'Its proof failed, so the role was removed again:',
  closed: 'Its proof failed, so the role was closed and its sessions ended:',
}

export function describeProvisioned({ configuration, upstream, agent, may }: About, made: Provisioned): string {
  const { role, kind, privileges, findings, proof, accepted } = made
  const holes = findings.filter(({ hole, id }) => hole && !accepted.includes(id))
  const others = findings.filter(({ hole, id }) => !hole || accepted.includes(id))
  const lines = [
    `${verdicts[made.state]} role ${role} for ${agent} on ${upstream} (${may.join(', ')}): ${kind === 'reader' ? 'it reads' : 'it reads and writes'}.`,
    `  it may read ${privileges.readable.length} tables and views${kind === 'writer' ? `, write ${privileges.writable.length}` : ''}; no superuser, nothing inherited, no CREATE, no TRUNCATE`,
    ...(kind === 'reader' ? ['  its transactions begin read-only as well'] : []),
    ...privileges.withheld.map((line) => `  withheld: ${line}`),
    ...privileges.missing.map((line) => `  MISSING: ${line}`),
    ...(made.mended.length === 0
      ? []
      : [`  taken from PUBLIC, and given by name to the roles there are: ${made.mended.join(', ')}`]),
    ...(made.unmendable.length === 0
      ? []
      : [`  not taken from PUBLIC, since ${made.administrator.name} may not: ${made.unmendable.join(', ')}`]),
    ...describeFindings('What everyone can do here, this role included, and could do harm by:', holes),
    ...describeFindings('What everyone can do here, this role included:', others),
    ...(proof === null ? [] : describeProof(proof.lines)),
    'No PostgreSQL can keep a role from these:',
    ...unfenced.map((line) => `  - ${line}`),
    ...describeNext(configuration, upstream, agent, made),
  ]
  return `${lines.map(visibleLine).join('\n')}\n`
}

function describeFindings(head: string, findings: readonly PublicFinding[]): readonly string[] {
  if (findings.length === 0) return []
  return [
    head,
    ...findings.map(
      ({ what, id, revoke, actable }) =>
        `  - ${what} [${id}]${revoke === null ? '' : actable ? ' (--revoke-public mends it)' : ' (only its owner can mend it)'}`,
    ),
  ]
}

function describeProof(lines: readonly ProofLine[]): readonly string[] {
  const of = (verdict: Verdict): readonly ProofLine[] => lines.filter((line) => line.verdict === verdict)
  const held = of('held')
  const tried = lines.length - of('absent').length
  return [
    `Proved by trying it as that role, read-only mode taken away first: ${held.length} of ${tried} held.`,
    ...of('open').map(({ what, sqlState }) => `  OPEN   ${what} (${sqlState})`),
    ...of('known').map(({ what }) => `  known  ${what} went through, by what is said above`),
    `  held   ${shown(held.map(({ what }) => what))}`,
  ]
}

function describeNext(configuration: string, upstream: string, agent: string, made: Provisioned): readonly string[] {
  switch (made.state) {
    case 'planned':
      return ['Run it without --dry-run to make it.']
    case 'removed':
    case 'closed':
      return ['Next: mend what is open, then run this again. The agent’s statements are not let in by this role.']
    case 'made':
    case 'renewed':
      return [
        `It lets in until ${new Date(made.expiresAtMs ?? 0).toISOString()}; run this again before, to put that off.`,
        `Its URL is in ${made.credential ?? ''} (0600) and named in ${configuration} as upstreams.${upstream}.as.${agent}.`,
        'Next: sallyport propose, and a person accepts it with a passkey (while nobody is enrolled: sallyport up --accept-configuration); then start the gate again. Until then the agent’s statements run as before.',
      ]
  }
}

export function provisionedJson({ configuration, upstream, agent, may }: About, made: Provisioned): string {
  const { privileges, proof, ...rest } = made
  return `${JSON.stringify({
    config: configuration,
    upstream,
    agent,
    may,
    ...rest,
    readable: privileges.readable.length,
    writable: privileges.writable.length,
    missing: privileges.missing,
    withheld: privileges.withheld,
    unfenced,
    proof: proof === null ? null : proof.lines,
    inForce: false,
  })}\n`
}

export function describeDropped(upstream: string, agent: string, { role, wasThere, sessionsEnded }: Dropped): string {
  const what = wasThere ? `Dropped the role ${role}; ${sessionsEnded} of its sessions ended.` : `There was no role ${role}.`
  return `${what}
Its credential and its line in the configuration are gone.
Once people accepted it (sallyport propose) and the gate was started again, ${agent}’s statements on ${upstream} run with the shared credential again, if its scope stays; until then they are refused.
`
}
