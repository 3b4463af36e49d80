import { foldPerson, type Quorum } from '@sallyport/core'
import { z } from 'zod'
import type { ConfigMistake, FindPlace } from './config-mistake.ts'
import { name } from './config-value.ts'

/** Whose approvals count where (DESIGN §6, M of N by group), as sallyport.yaml says it. */

const person = z.string().min(1).max(100)
const quorum = z.strictObject({ from: name, count: z.int('a whole number').min(1).max(20).default(1) })

export const groupsSchema = z
  .record(name, z.array(person).min(1, 'a group has at least one person').max(500), {
    error: 'groups is a map of lists of people',
  })
  .default({})
/** People who may stand alone for all that a request needs. */
export const breakGlassSchema = z.array(person).max(50).default([])
/** By upstream. */
export const approvalsSchema = z.record(name, quorum, { error: 'approvals is a map of upstreams' }).default({})

interface ApprovalConfig {
  readonly groups: { readonly [group: string]: readonly string[] }
  readonly approvals: { readonly [upstream: string]: z.infer<typeof quorum> }
}

/** A group that is not there would let nobody approve; one too small, nobody ever. Both are said before anything starts. */
export function checkApprovals(
  { groups, approvals }: ApprovalConfig,
  upstreams: readonly string[],
  place: FindPlace,
): readonly ConfigMistake[] {
  return Object.entries(approvals).flatMap(([upstream, { from, count }]) => {
    const at = place(['approvals', upstream])
    const members = entryOf(groups, from)
    if (!upstreams.includes(upstream))
      return [
        { ...at, what: `no upstream is called "${upstream}"`, hint: `upstreams are: ${upstreams.join(', ') || 'none yet'}` },
      ]
    if (members === null)
      return [
        { ...at, what: `no group is called "${from}"`, hint: `groups are: ${Object.keys(groups).join(', ') || 'none yet'}` },
      ]
    const people = new Set(members.map(foldPerson)).size
    if (people >= count) return []
    return [
      {
        ...at,
        what: `${count} of "${from}" are to approve, who are ${people}`,
        hint: 'add people to the group, or ask for fewer',
      },
    ]
  })
}

/** Whose approvals count on an upstream; null: everybody's. */
export function quorumOf({ groups, approvals }: ApprovalConfig): (upstream: string) => Quorum | null {
  return (upstream) => {
    const found = entryOf(approvals, upstream)
    if (found === null) return null
    return { group: found.from, members: entryOf(groups, found.from) ?? [], count: found.count }
  }
}

/** By upstream: what was accepted about who approves. */
export const acceptedApprovalsShape = z.record(
  z.string(),
  z.strictObject({ group: z.string(), members: z.array(z.string()), count: z.number() }),
)
type AcceptedApprovals = z.infer<typeof acceptedApprovalsShape>

export function acceptedApprovalsOf(config: ApprovalConfig): AcceptedApprovals {
  const find = quorumOf(config)
  const entries = Object.keys(config.approvals).flatMap((upstream) => {
    const quorum = find(upstream)
    return quorum === null
      ? []
      : [[upstream, { ...quorum, members: [...new Set(quorum.members.map(foldPerson))].toSorted() }] as const]
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
      ...(more.length > 0 ? [`approvals: more people approve on ${upstream}: ${more.slice(0, 10).join(', ')}`] : []),
    ]
  })
}

function entryOf<Entry>(entries: Readonly<Record<string, Entry>>, key: string): Entry | null {
  return Object.hasOwn(entries, key) ? (entries[key] ?? null) : null
}
