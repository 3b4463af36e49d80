import { z } from 'zod'
import type { DatabaseCopy } from './manifest.ts'
import type { Ask } from './table-sum.ts'

type Facts = Pick<DatabaseCopy, 'database' | 'serverMajor' | 'encoding' | 'collate' | 'ctype' | 'icu' | 'roles' | 'memberships'>

const databaseSchema = z.object({
  datname: z.string(),
  datcollate: z.string(),
  datctype: z.string(),
  datlocprovider: z.string().optional(),
  /** Until 16, and since 17. */
  daticulocale: z.string().nullish(),
  datlocale: z.string().nullish(),
})
const rolesSchema = z.array(z.object({ name: z.string(), superuser: z.boolean(), bypassRls: z.boolean() }))
const membershipsSchema = z.array(z.object({ role: z.string(), member: z.string() }))

/** What a dump does not hold, and a restore needs: how the database was made, and the names of roles. */
export async function readFacts(ask: Ask): Promise<Facts> {
  const one = async (sql: string): Promise<unknown> => JSON.parse((await ask(sql))[0]?.[0] ?? 'null')
  const database = databaseSchema.parse(
    await one(
      `SELECT pg_catalog.to_jsonb(d)::pg_catalog.text FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`,
    ),
  )
  const { major, encoding } = z.object({ major: z.int(), encoding: z.string() }).parse(
    await one(`SELECT pg_catalog.json_build_object('major', pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000,
      'encoding', pg_catalog.current_setting('server_encoding'))::pg_catalog.text`),
  )
  const roles = rolesSchema.parse(
    await one(`SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('name', rolname, 'superuser', rolsuper, 'bypassRls', rolbypassrls)
      ORDER BY rolname), '[]')::pg_catalog.text FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'`),
  )
  const memberships = membershipsSchema.parse(
    await one(`SELECT COALESCE(pg_catalog.json_agg(DISTINCT pg_catalog.jsonb_build_object('role', r.rolname, 'member', m.rolname)), '[]')::pg_catalog.text
      FROM pg_catalog.pg_auth_members a JOIN pg_catalog.pg_roles r ON r.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
      WHERE m.rolname !~ '^pg_'`),
  )
  const usesIcu = database.datlocprovider === 'i'
  return {
    database: database.datname,
    serverMajor: major,
    encoding,
    collate: database.datcollate,
    ctype: database.datctype,
    icu: usesIcu ? (database.daticulocale ?? database.datlocale ?? null) : null,
    roles,
    memberships,
  }
}

/** A name as it may stand in SQL. */
function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** The roles of the original, none of which can log in, in a server where there is only `postgres`. */
export async function makeRoles(ask: Ask, { roles, memberships }: Pick<Facts, 'roles' | 'memberships'>): Promise<void> {
  for (const { name, superuser, bypassRls } of roles) {
    if (name === 'postgres') continue
    await ask(`CREATE ROLE ${quote(name)} NOLOGIN${superuser ? ' SUPERUSER' : ''}${bypassRls ? ' BYPASSRLS' : ''}`)
  }
  for (const { role, member } of memberships) await ask(`GRANT ${quote(role)} TO ${quote(member)}`)
}
