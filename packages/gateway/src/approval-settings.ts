import { foldPerson, visibleLine, type Quorum } from '@sallyport/core'
import { z } from 'zod'
import type { ConfigMistake, FindPlace } from './config-mistake.ts'
import { name } from './config-value.ts'
import type { OidcConfig } from './people-settings.ts'

/** Whose approvals count where (DESIGN §6, M of N by group), as sallyport.yaml says it. */

const person = z.string().min(1).max(100)
const quorum = z.strictObject({ from: name, count: z.int('a whole number').min(1).max(20).default(1) })

const named = z.array(person).max(500)

/** Names alone, or with them who the team's identity provider says is in a group there, as `people.oidc.groups` calls it. */
export const groupsSchema = z
  .record(
    name,
    z.preprocess(
      (given) => (Array.isArray(given) ? { people: given } : given),
      z
        .strictObject({
          people: named.default([]),
          oidc: z
            .string()
            .min(1)
            .max(256)
            .nullish()
            .transform((group) => group ?? null),
        })
        .refine(({ people, oidc }) => people.length > 0 || oidc !== null, 'a group has at least one person, or says oidc'),
    ),
    { error: 'groups is a map of lists of people' },
  )
  .default({})
export type GroupsConfig = z.infer<typeof groupsSchema>
/** People who may stand alone for all that a request needs. */
export const breakGlassSchema = z.array(person).max(50).default([])
/** By upstream. */
export const approvalsSchema = z.record(name, quorum, { error: 'approvals is a map of upstreams' }).default({})

interface ApprovalConfig {
  readonly groups: GroupsConfig
  readonly approvals: { readonly [upstream: string]: z.infer<typeof quorum> }
}

/** The people of whom the team's provider said lately enough that they are in this group there. */
export type FindMembers = (group: string) => readonly string[] | Promise<readonly string[]>

/** A group that is not there would let nobody approve; one too small, nobody ever. Both are said before anything starts. */
export function checkApprovals(
  { groups, approvals, oidc }: ApprovalConfig & { readonly oidc: OidcConfig | null },
  upstreams: readonly string[],
  place: FindPlace,
): readonly ConfigMistake[] {
  const unsaid = Object.entries(groups).flatMap(([group, { oidc: there }]) =>
    there === null || oidc?.groups !== undefined
      ? []
      : [
          {
            ...place(['groups', group, 'oidc']),
            what: `nobody says who is in "${there}"`,
            hint: 'say people.oidc.groups: the claim with the groups, and for how long it counts',
          },
        ],
  )
  const quorums = Object.entries(approvals).flatMap(([upstream, { from, count }]) => {
    const at = place(['approvals', upstream])
    const group = entryOf(groups, from)
    if (!upstreams.includes(upstream))
      return [
        { ...at, what: `no upstream is called "${upstream}"`, hint: `upstreams are: ${upstreams.join(', ') || 'none yet'}` },
      ]
    if (group === null)
      return [
        { ...at, what: `no group is called "${from}"`, hint: `groups are: ${Object.keys(groups).join(', ') || 'none yet'}` },
      ]
    const people = new Set(group.people.map(foldPerson)).size
    // How many the provider has in it, only the provider knows.
    if (people >= count || group.oidc !== null) return []
    return [
      {
        ...at,
        what: `${count} of "${from}" are to approve, who are ${people}`,
        hint: 'add people to the group, or ask for fewer',
      },
    ]
  })
  return [...unsaid, ...quorums]
}

/** Whose approvals count on an upstream as far as sallyport.yaml itself says it; null: everybody's. */
export function namedQuorumOf({ groups, approvals }: ApprovalConfig): (upstream: string) => Quorum | null {
  return (upstream) => {
    const found = entryOf(approvals, upstream)
    if (found === null) return null
    return { group: found.from, members: entryOf(groups, found.from)?.people ?? [], count: found.count }
  }
}

/** Whose approvals count on an upstream now, the provider's groups with the people who are named; null: everybody's. */
export function quorumOf(config: ApprovalConfig, findMembers: FindMembers): (upstream: string) => Promise<Quorum | null> {
  const findNamed = namedQuorumOf(config)
  return async (upstream) => {
    const named = findNamed(upstream)
    const there = named === null ? null : (entryOf(config.groups, named.group)?.oidc ?? null)
    if (named === null || there === null) return named
    return { ...named, members: [...named.members, ...(await findMembers(there))] }
  }
}

/** By upstream: what was accepted about who approves. */
export const acceptedApprovalsShape = z.record(
  z.string(),
  z.strictObject({ group: z.string(), members: z.array(z.string()), count: z.number(), oidc: z.string().exactOptional() }),
)
type AcceptedApprovals = z.infer<typeof acceptedApprovalsShape>

export function acceptedApprovalsOf(config: ApprovalConfig): AcceptedApprovals {
  const entries = Object.entries(config.approvals).map(([upstream, { from, count }]) => {
    const { people = [], oidc = null } = entryOf(config.groups, from) ?? {}
    const members = [...new Set(people.map(foldPerson))].toSorted()
    return [upstream, { group: from, members, count, ...(oidc !== null && { oidc }) }] as const
  })
  return Object.fromEntries(entries)
}

/** Fewer who have to approve, or more who may. */
export function findApprovalWidenings(before: AcceptedApprovals, after: AcceptedApprovals): readonly string[] {
  return Object.entries(before).flatMap(([upstream, known]) => {
    const next = entryOf(after, upstream)
    if (next === null) return [`approvals: anybody approves on ${upstream}, no longer ${known.group} alone`]
    const more = next.members.filter((member) => !known.members.includes(member))
    return [
      ...(next.count < known.count
        ? [`approvals: ${next.count} of ${next.group} are enough on ${upstream}, no longer ${known.count}`]
        : []),
      ...(next.oidc !== undefined && next.oidc !== known.oidc
        ? [`approvals: whoever the provider says is in ${visibleLine(next.oidc)} approves on ${upstream}`]
        : []),
      ...(more.length > 0 ? [`approvals: more people approve on ${upstream}: ${more.slice(0, 10).join(', ')}`] : []),
    ]
  })
}

function entryOf<Entry>(entries: Readonly<Record<string, Entry>>, key: string): Entry | null {
  return Object.hasOwn(entries, key) ? (entries[key] ?? null) : null
}
