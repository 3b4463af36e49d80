import type { SqlChannel } from '@sallyport/core'
import { z } from 'zod'
import { oidSchema, quoteIdentifier } from './catalog-name.ts'
import { readJson } from './catalog-query.ts'
import type { GrantShape } from './catalog-shape.ts'

function role(name: string | null): string {
  return name === null ? 'PUBLIC' : quoteIdentifier(name)
}

/** GRANTs as sealed; `what` is e.g. `TABLE public.orders`. */
export function grantStatements(what: string, grants: readonly GrantShape[], column?: string): readonly string[] {
  return grants.map(({ grantee, privilege, grantable }) => {
    if (!/^[A-Z ]+$/.test(privilege)) throw new Error('an odd privilege')
    const on = column === undefined ? '' : ` (${quoteIdentifier(column)})`
    return `GRANT ${privilege}${on} ON ${what} TO ${role(grantee)}${grantable ? ' WITH GRANT OPTION' : ''}`
  })
}

/**
 * Grants of a thing just made again: what today's default privileges gave it goes first, the owner's own included, then what it had.
 * NULL stands for the owner's plain rights, which it has by being made.
 */
export async function restoreGrants(
  channel: SqlChannel,
  what: string,
  catalog: 'pg_class' | 'pg_namespace',
  oid: string,
  owner: string,
  grants: readonly GrantShape[] | null,
): Promise<void> {
  const [list, key] = catalog === 'pg_class' ? ['relacl', 'oid'] : ['nspacl', 'oid']
  const present = await readJson(
    channel,
    z.array(z.string().nullable()),
    `SELECT coalesce(json_agg(DISTINCT CASE WHEN x.grantee <> 0 THEN pg_get_userbyid(x.grantee) END), '[]')::text
     FROM ${catalog} c, aclexplode(c.${list}) x WHERE c.${key} = $1::oid`,
    [oidSchema.parse(oid)],
  )
  if (grants === null) {
    for (const grantee of present.filter((one) => one !== owner))
      await channel.query(`REVOKE ALL ON ${what} FROM ${role(grantee)}`)
    return
  }
  for (const grantee of new Set([...present, owner, null])) await channel.query(`REVOKE ALL ON ${what} FROM ${role(grantee)}`)
  for (const statement of grantStatements(what, grants)) await channel.query(statement)
}
