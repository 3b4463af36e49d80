import { z } from 'zod'
import type { Administrator } from './administrator.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { publicFindingQueries } from './public-finding-sql.ts'
import type { RoleKind } from './role-scope.ts'
import { done, identifier } from './sql-line.ts'

/** Something that PUBLIC gives to every role, the one to be made included. */
export interface PublicFinding {
  /** What `--accept` names it by. */
  readonly id: string
  /** True when a role that has nothing else could change or reach something by it. */
  readonly hole: boolean
  readonly what: string
  readonly revoke: string | null
  readonly keep: string | null
  readonly actable: boolean
}

const shape = z.object({
  id: z.string(),
  hole: z.boolean(),
  what: z.string(),
  revoke: z.string().nullable(),
  keep: z.string().nullable(),
  actable: z.boolean(),
})

/** Roles that keep by name what they had as PUBLIC; more would be too many names on every object. */
const keepersMax = 200

const readerWrites = ['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']
export const writesOf = (kind: RoleKind): readonly string[] => (kind === 'writer' ? readerWrites.slice(3) : readerWrites)

export async function findPublic({ line, version }: Administrator, kind: RoleKind): Promise<readonly PublicFinding[]> {
  const found: PublicFinding[] = []
  for (const sql of publicFindingQueries(version, writesOf(kind))) found.push(...(await line.query(shape, sql)))
  return found.toSorted((left, right) => Number(right.hole) - Number(left.hole))
}

/** What stays open although the role was made. */
export function unmended(findings: readonly PublicFinding[], accepted: ReadonlySet<string>): readonly PublicFinding[] {
  return findings.filter(({ hole, id }) => hole && !accepted.has(id))
}

/**
 * Takes from PUBLIC what it should not have, and gives it by name to every role that is there now and not a least role of ours: what runs today
 * goes on running. @returns ids of what could not be mended
 */
export async function revokePublic(
  { line }: Administrator,
  findings: readonly PublicFinding[],
  accepted: ReadonlySet<string>,
): Promise<readonly string[]> {
  const keepers = await line.query(
    z.object({ name: z.string() }),
    `SELECT rolname::text AS name FROM pg_roles WHERE NOT rolsuper AND rolname !~ '^pg_'
       AND coalesce(shobj_description(oid, 'pg_authid'), '') NOT LIKE 'Made by sallyport upstream provision:%' ORDER BY name LIMIT ${keepersMax + 1}`,
  )
  if (keepers.length > keepersMax) throw tooManyRoles()
  const names = keepers.map(({ name }) => identifier(name)).join(', ')
  const failed: string[] = []
  for (const { id, revoke, keep } of findings.filter((finding) => finding.revoke !== null && !accepted.has(finding.id))) {
    await line.run('SAVEPOINT mend')
    const granted = keep === null || names === '' ? { sqlState: done } : await line.attempt(`${keep} ${names}`)
    const revoked = granted.sqlState === done ? await line.attempt(revoke ?? '') : granted
    if (revoked.sqlState !== done) {
      await line.run('ROLLBACK TO SAVEPOINT mend')
      failed.push(id)
    }
    await line.run('RELEASE SAVEPOINT mend')
  }
  return failed
}

function tooManyRoles(): CommandFailure {
  return new CommandFailure(
    exitCodes.failed,
    'too_large',
    `This server has more than ${keepersMax} roles that live on what PUBLIC may do.`,
    'No role was made and nothing was changed.',
    'Take those privileges from PUBLIC by hand (run this with --dry-run to see which), then run it without --revoke-public.',
  )
}
