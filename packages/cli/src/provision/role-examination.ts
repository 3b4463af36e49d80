import { dirname } from 'node:path'
import { z } from 'zod'
import { visibleLine } from '@sallyport/core'
import { namesUnder, protocolOf, readReferences, type ConfigurationFile } from '../configuration-file.ts'
import { parseDatabaseUrl } from '../database-url.ts'
import { toFailure } from '../failure.ts'
import { bad, good, note, type Finding } from '../finding.ts'
import { resolveReference } from '../reference.ts'
import { writesOf } from './public-finding.ts'
import { shown } from './role-privileges.ts'
import { scopeOf, type RoleScope } from './role-scope.ts'
import { SqlLine } from './sql-line.ts'

/** For each agent and each database in its scope: whose rights do its statements have there? */
export async function examineRoles(file: ConfigurationFile, nowMs: number): Promise<readonly Finding[]> {
  const references = readReferences(file)
  const findings: Finding[] = []
  for (const upstream of namesUnder(file, 'upstreams')) {
    if (protocolOf(file, upstream) !== 'postgres') continue
    for (const agent of namesUnder(file, 'agents')) {
      const scope = scopeOf(file, upstream, agent)
      if (scope.may.length === 0) continue
      const own = references.find((one) => one.upstream === upstream && one.agent === agent)?.reference
      findings.push(
        own === undefined
          ? describeShared(upstream, agent, scope)
          : await examineRole({ upstream, agent, scope, nowMs }, own, dirname(file.path)),
      )
    }
  }
  return findings
}

function provisionCommand(upstream: string, agent: string): string {
  return `sallyport upstream provision ${upstream} --agent ${agent}`
}

function describeShared(upstream: string, agent: string, { kind, may }: RoleScope): Finding {
  const shared = `${agent}’s statements on ${upstream} run with the shared credential`
  if (kind === 'owner')
    return note(
      upstream,
      `${shared}, since its scope (${may.join(', ')}) takes an owner’s rights: the gate is the only fence.`,
      null,
    )
  const worth = kind === 'reader' ? 'a wrong description could write with it' : 'a wrong description could do all that it can'
  return note(upstream, `${shared}, though it may only ${may.join(', ')}: ${worth}.`, provisionCommand(upstream, agent))
}

interface About {
  readonly upstream: string
  readonly agent: string
  readonly scope: RoleScope
  readonly nowMs: number
}

const shape = z.object({
  role: z.string(),
  powerful: z.boolean(),
  memberships: z.coerce.number(),
  excess: z.coerce.number(),
  creates: z.boolean(),
  definers: z.array(z.string()),
  until_ms: z.coerce.number().nullable(),
})

const sql = `
SELECT current_user::text AS role, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls AS powerful,
  (SELECT count(*) FROM pg_catalog.pg_auth_members WHERE member = r.oid) AS memberships,
  (SELECT count(*) FROM pg_catalog.pg_class c WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid <> 'pg_catalog.pg_settings'::regclass
    AND pg_catalog.has_table_privilege(c.oid, $1)) AS excess,
  EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_(temp|toast)' AND pg_catalog.has_schema_privilege(oid, 'CREATE')) AS creates,
  ARRAY(SELECT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = pronamespace
    WHERE prosecdef AND nspname NOT IN ('pg_catalog', 'information_schema') AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
      AND prorettype NOT IN ('pg_catalog.trigger'::pg_catalog.regtype, 'pg_catalog.event_trigger'::pg_catalog.regtype) ORDER BY 1 LIMIT 20) AS definers,
  CASE WHEN rolvaliduntil IS NULL OR rolvaliduntil = 'infinity' THEN NULL
    ELSE pg_catalog.floor(extract(epoch FROM rolvaliduntil) * 1000) END AS until_ms
FROM pg_catalog.pg_roles r WHERE rolname = current_user`

const soonMs = 7 * 86_400_000

async function examineRole(about: About, reference: string, folder: string): Promise<Finding> {
  const { upstream, agent } = about
  try {
    const line = await SqlLine.open(parseDatabaseUrl(await resolveReference(reference, folder)), 'sallyport doctor')
    try {
      const [found] = await line.query(shape, sql, [writesOf(about.scope.kind).join(', ')])
      if (found !== undefined) return judge(about, found)
    } finally {
      await line.close()
    }
    return bad(upstream, `${agent}’s own role on ${upstream} is not known to its server.`, provisionCommand(upstream, agent))
  } catch (error) {
    const what = `${agent}’s own role on ${upstream} does not let in, so its statements are refused: ${toFailure(error).message}`
    return bad(upstream, what, provisionCommand(upstream, agent))
  }
}

function judge({ upstream, agent, scope, nowMs }: About, found: z.infer<typeof shape>): Finding {
  const mend = provisionCommand(upstream, agent)
  const who = `${agent}’s statements on ${upstream} run as a role of its own, ${found.role}`
  if (scope.kind === 'owner')
    return note(upstream, `${who}. Its scope (${scope.may.join(', ')}) goes beyond what a least role can hold.`, null)
  const over = [
    ...(found.powerful ? ['it is more than an ordinary role'] : []),
    ...(found.memberships > 0 ? ['it is a member of other roles'] : []),
    ...(found.excess > 0 ? [`it may do more than its scope in ${found.excess} tables`] : []),
    ...(found.creates ? ['it may create things'] : []),
  ]
  if (over.length > 0) return bad(upstream, `${who}, but ${over.join(', and ')}.`, mend)
  const worth = scope.kind === 'reader' ? 'a wrong description cannot write' : 'a wrong description can write rows and no more'
  if (found.definers.length > 0) {
    const names = visibleLine(shown(found.definers))
    return note(upstream, `${who}. It may run ${names}, with the rights of whoever owns that: its worth is what these do.`, mend)
  }
  if (found.until_ms === null) return note(upstream, `${who}: ${worth}. It has no end.`, mend)
  const until = new Date(found.until_ms).toISOString()
  if (found.until_ms - nowMs < soonMs) return note(upstream, `${who}: ${worth}. It ends soon, at ${until}.`, mend)
  return good(upstream, `${who}, until ${until}: ${worth}.`)
}
