import { visibleLine } from '@sallyport/core'
import { openAdministrator, type Administrator } from './administrator.ts'
import {
  findAgentCredential,
  readAgentCredential,
  readShared,
  removeAgentCredential,
  setAgentCredential,
  withLogin,
  writeAgentCredential,
  type AgentCredential,
} from './agent-credential.ts'
import { openConfigurationFile, saveConfigurationFile, type ConfigurationFile } from '../configuration-file.ts'
import { readContent, type DatabaseContent } from './database-content.ts'
import type { DatabaseUrl } from '../database-url.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { applyRole, closeRole, dropRole, openForProof, openUntil, readRole, type RoleState } from './least-role.ts'
import { findPublic, revokePublic, unmended, type PublicFinding } from './public-finding.ts'
import { markOf, roleNameFor } from './role-name.ts'
import { makePassword, scramVerifier } from './role-password.ts'
import { planPrivileges, type RolePrivileges } from './role-privileges.ts'
import { proveRole, type RoleProof } from './role-proof.ts'
import type { RoleKind, RoleScope } from './role-scope.ts'

export interface ProvisionOrder {
  readonly configuration: string
  readonly upstream: string
  readonly agent: string
  readonly scope: RoleScope
  readonly administrator: DatabaseUrl
  readonly expiresMs: number
  readonly rotate: boolean
  readonly revokePublic: boolean
  readonly accepted: ReadonlySet<string>
  readonly dryRun: boolean
}

export interface Provisioned {
  readonly role: string
  readonly kind: Exclude<RoleKind, 'owner'>
  readonly administrator: Pick<Administrator, 'name' | 'superuser' | 'version'>
  readonly privileges: RolePrivileges
  /** As they are in the end: what was mended is not among them. */
  readonly findings: readonly PublicFinding[]
  readonly mended: readonly string[]
  readonly unmendable: readonly string[]
  readonly accepted: readonly string[]
  readonly proof: RoleProof | null
  readonly wasThere: boolean
  /** What became of it; `planned` with --dry-run, `removed` and `closed` when its proof failed. */
  readonly state: 'planned' | 'made' | 'renewed' | 'removed' | 'closed'
  readonly expiresAtMs: number | null
  readonly credential: string | null
}

/** Everything that one run looks at before it changes anything. */
interface Site {
  readonly admin: Administrator
  readonly role: string
  readonly mark: string
  readonly state: RoleState
  readonly content: DatabaseContent
  readonly privileges: RolePrivileges
  readonly findings: readonly PublicFinding[]
  readonly credential: AgentCredential
  readonly way: DatabaseUrl
}

/** Makes, or makes anew, the least role for an agent on an upstream, proves it, and says so in the configuration. */
export async function provision(order: ProvisionOrder, kind: Exclude<RoleKind, 'owner'>): Promise<Provisioned> {
  const file = openConfigurationFile(order.configuration)
  const credential = findAgentCredential(file, order.upstream, order.agent)
  const way = await readShared(file, order.upstream)
  requireOneDatabase(order.administrator, way)
  const admin = await openAdministrator(order.administrator)
  try {
    const role = roleNameFor(order.upstream, order.agent, admin.database)
    const mark = markOf(order.upstream, order.agent)
    const state = await readRole(admin, role, mark)
    const content = await readContent(admin)
    const privileges = planPrivileges(kind, role, admin.database, content)
    const findings = await findPublic(admin, kind)
    const site: Site = { admin, role, mark, state, content, privileges, findings, credential, way }
    if (order.dryRun) return describe(site, kind, order, { state: 'planned', findings })
    requirePossible(order, site)
    return await carryOut(order, kind, site)
  } finally {
    await admin.line.close()
  }
}

function requireOneDatabase(administrator: DatabaseUrl, way: DatabaseUrl): void {
  if (administrator.database === way.database) return
  throw failure(
    'target_changed',
    `The administrator’s URL names the database ${administrator.database}, the upstream’s names ${way.database}.`,
    'Give the administrator’s URL with the upstream’s database at its end.',
  )
}

function requirePossible({ accepted, revokePublic: revoking, rotate }: ProvisionOrder, site: Site): void {
  const { findings, state, credential, role } = site
  const unknown = [...accepted].filter((id) => !findings.some((finding) => finding.id === id))
  if (unknown.length > 0)
    throw failure(
      'unreadable',
      `--accept names what is not there: ${visibleLine(unknown.join(', '))}.`,
      '--dry-run lists what there is.',
    )
  if (state.exists && !credential.isWritten && !rotate) {
    throw failure(
      'exists',
      `The role ${role} is there, but its credential is not in ${credential.path}.`,
      'With --rotate it gets a new one; whoever holds the old one is out then.',
    )
  }
  if (site.privileges.readable.length === 0 && site.content.relations.length > 0) {
    throw failure(
      'not_supported',
      `${site.admin.name} may hand out nothing of what is in this database:\n${site.privileges.missing.map((line) => `  ${visibleLine(line)}`).join('\n')}\n`,
      'Give the URL of the owner of the tables with CREATEROLE, of a member of it, or of a superuser.',
    )
  }
  const open = unmended(findings, accepted).filter(({ revoke, actable }) => !revoking || revoke === null || !actable)
  if (open.length === 0) return
  const lines = open.map(({ id, what, revoke, actable }) => {
    const mend = revoke !== null && !actable ? ' This administrator may not mend it.' : ''
    return `  ${visibleLine(`${what} [${id}]`)}${mend}`
  })
  throw failure(
    'refused_by_guard',
    `A role made now could do more than it may, by what every role is given:\n${lines.join('\n')}\n`,
    revoking
      ? 'Have the owner or a superuser take that from PUBLIC, or accept each by name: --accept ID.'
      : 'With --revoke-public it is taken from PUBLIC and given by name to the roles there are; or accept each by name: --accept ID.',
  )
}

async function carryOut(order: ProvisionOrder, kind: Exclude<RoleKind, 'owner'>, site: Site): Promise<Provisioned> {
  const { admin, role, mark, state, privileges, credential, way } = site
  const kept = order.rotate ? null : await readAgentCredential(credential)
  const password = kept === null || !state.exists ? makePassword() : kept.password
  let failed: readonly string[] = []
  // Whoever asks for another password may have reason to: who came in by the old one goes out.
  if (order.rotate && state.exists) await closeRole(admin, role)
  await admin.line.transact(async () => {
    await applyRole(admin, { role, mark, kind, statements: privileges.statements, namesLike: way.user }, state)
    if (order.revokePublic) failed = await revokePublic(admin, site.findings, order.accepted)
  })
  const findings = await findPublic(admin, kind)
  const login = withLogin(way, role, password)
  let proof: RoleProof | null = null
  try {
    // The same again where it is kept: a role may change its own password.
    await openForProof(admin, role, scramVerifier(password))
    proof = await proveRole(admin, order.administrator, login, site.content, {
      role,
      kind,
      privileges,
      findings,
      accepted: order.accepted,
    })
  } finally {
    if (proof === null || !proof.holds) await (state.exists ? closeRole(admin, role) : dropRole(admin, role))
  }
  const outcome = { findings, failed, proof }
  if (!proof.holds) return describe(site, kind, order, { ...outcome, state: state.exists ? 'closed' : 'removed' })
  const expiresAtMs = await openUntil(admin, role, order.expiresMs)
  writeAgentCredential(credential, login)
  nameInConfiguration(order, credential.reference)
  return describe(site, kind, order, { ...outcome, state: state.exists ? 'renewed' : 'made', expiresAtMs })
}

/** On the file as it is by now. */
function nameInConfiguration({ configuration, upstream, agent }: ProvisionOrder, reference: string): void {
  const file: ConfigurationFile = openConfigurationFile(configuration)
  if (findAgentCredential(file, upstream, agent).configured === reference) return
  setAgentCredential(file, upstream, agent, reference)
  saveConfigurationFile(file)
}

interface Outcome {
  readonly state: Provisioned['state']
  readonly findings: readonly PublicFinding[]
  readonly failed?: readonly string[]
  readonly proof?: RoleProof
  readonly expiresAtMs?: number
}

function describe(site: Site, kind: Exclude<RoleKind, 'owner'>, order: ProvisionOrder, outcome: Outcome): Provisioned {
  const { name, superuser, version } = site.admin
  const still = new Set(outcome.findings.map(({ id }) => id))
  return {
    role: site.role,
    kind,
    administrator: { name, superuser, version },
    privileges: site.privileges,
    findings: outcome.findings,
    mended: site.findings.filter(({ id }) => !still.has(id)).map(({ id }) => id),
    unmendable: outcome.failed ?? [],
    accepted: [...order.accepted],
    proof: outcome.proof ?? null,
    wasThere: site.state.exists,
    state: outcome.state,
    expiresAtMs: outcome.expiresAtMs ?? null,
    credential: outcome.state === 'made' || outcome.state === 'renewed' ? site.credential.reference : null,
  }
}

export interface Dropped {
  readonly role: string
  readonly wasThere: boolean
  readonly sessionsEnded: number
}

/** Ends the role: sessions, privileges, itself, its credential and its line in the configuration. Nothing that it owns is touched. */
export async function dropProvisioned(
  order: Pick<ProvisionOrder, 'configuration' | 'upstream' | 'agent' | 'administrator'>,
): Promise<Dropped> {
  const file = openConfigurationFile(order.configuration)
  const credential = findAgentCredential(file, order.upstream, order.agent)
  requireOneDatabase(order.administrator, await readShared(file, order.upstream))
  const admin = await openAdministrator(order.administrator)
  try {
    const role = roleNameFor(order.upstream, order.agent, admin.database)
    const { exists } = await readRole(admin, role, markOf(order.upstream, order.agent))
    const sessionsEnded = exists ? await dropRole(admin, role) : 0
    removeAgentCredential(credential)
    const now = openConfigurationFile(order.configuration)
    setAgentCredential(now, order.upstream, order.agent, null)
    saveConfigurationFile(now)
    return { role, wasThere: exists, sessionsEnded }
  } finally {
    await admin.line.close()
  }
}

function failure(code: string, what: string, next: string): CommandFailure {
  return new CommandFailure(exitCodes.failed, code, what, 'No role was made and nothing was changed.', next)
}
