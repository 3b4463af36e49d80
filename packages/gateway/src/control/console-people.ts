import type { PeopleView } from '@sallyport/console'
import { isSamePerson } from '@sallyport/core'
import type { Person } from './ports.ts'
import { unknownOwners } from './second-person.ts'
import type { Site } from './site.ts'

const peopleListed = 500

/** Who is enrolled, whose agents they answer for, and how they decide. */
export async function viewPeople({ ports }: Site, me: Person): Promise<PeopleView> {
  const { people, control, clock, links, requests } = ports
  const [enrolled, ever, open, all] = await Promise.all([
    people.list(),
    people.ever(),
    links.open(clock.nowMs()),
    requests.list(),
  ])
  const verdicts = all.flatMap(({ approvals, createdAtMs }) =>
    approvals.map(({ person, verdict, atMs }) => ({ person, verdict, waitMs: Math.max(0, atMs - createdAtMs) })),
  )
  return {
    nowMs: clock.nowMs(),
    mode: control.posture().mode,
    me: me.name,
    people: enrolled.slice(0, peopleListed).map(({ name, passkeys, enrolledAtMs, admission }) => {
      const own = verdicts.filter(({ person }) => isSamePerson(person, name))
      const waits = own.map(({ waitMs }) => waitMs).toSorted((left, right) => left - right)
      return {
        name,
        passkeys: passkeys.length,
        enrolledAtMs,
        admission: sayAdmission(admission),
        agents: control.owners().flatMap(({ agent, owner }) => (isSamePerson(owner, name) ? [agent] : [])),
        approved: own.filter(({ verdict }) => verdict === 'approve').length,
        rejected: own.filter(({ verdict }) => verdict === 'reject').length,
        medianWaitMs: waits[Math.floor(waits.length / 2)] ?? null,
      }
    }),
    removed: ever.flatMap(({ name, removed }) => (removed === null ? [] : [{ name, ...removed }])).slice(0, peopleListed),
    invitations: open.filter(({ invitedBy }) => invitedBy !== null).length,
    onCall: ports.overview.onCall?.() ?? [],
    unknownOwners: unknownOwners(control, enrolled),
  }
}

function sayAdmission(admission: Person['admission']): string {
  if (admission === null) return 'by an earlier version'
  if (admission.invitedBy === null) return 'enrolled first, from the terminal'
  return admission.confirmedBy === null
    ? `invited by ${admission.invitedBy} alone`
    : `invited by ${admission.invitedBy}, confirmed by ${admission.confirmedBy}`
}
