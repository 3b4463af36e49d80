import { isSamePerson } from '@sallyport/core'
import type { Control, EnrolmentLink, Person } from './ports.ts'

/**
 * In team mode, from how many enrolled people on an invitation takes a second one of them. Below it there is nobody to ask: the first invites
 * the second alone, and whether those are two people is theirs to know. In solo mode never, and null.
 */
export function confirmFrom(control: Control): number | null {
  return control.posture().mode === 'team' ? 2 : null
}

/** In team mode, from how many people on a removal is for good only when a second one stood by it: below, who removes and who is removed are all there are. */
export function confirmRemovalFrom(control: Control): number | null {
  return control.posture().mode === 'team' ? 3 : null
}

/** Whether an invitation counts only when somebody else confirmed it, as things stand. The store judges again when it is used. `ever`: those who were removed too. */
export function needsConfirmation(control: Control, ever: readonly Person[]): boolean {
  const from = confirmFrom(control)
  return from !== null && ever.length >= from
}

/** Whether this link would let nobody in now, for want of somebody who confirms it. */
export function isUnconfirmed(control: Control, link: EnrolmentLink, ever: readonly Person[]): boolean {
  return link.invitedBy !== null && link.confirmation === null && needsConfirmation(control, ever)
}

/** Whether the owner is somebody whom the gate could tell from an approver. In solo mode it need not. */
export function isOwnerKnown(control: Control, owner: string, people: readonly Person[]): boolean {
  return control.posture().mode === 'solo' || people.some(({ name }) => isSamePerson(name, owner))
}

/** Owners of the configuration whom the gate could not tell from an approver, with their agents: in team mode those who are not enrolled. */
export function unknownOwners(
  control: Control,
  people: readonly Person[],
): readonly { readonly owner: string; readonly agents: readonly string[] }[] {
  const unknown = control.owners().filter(({ owner }) => !isOwnerKnown(control, owner, people))
  return [...new Set(unknown.map(({ owner }) => owner))].map((owner) => ({
    owner,
    agents: unknown.filter((one) => one.owner === owner).map(({ agent }) => agent),
  }))
}

const agentsShown = 5

/** A sentence for each owner who is not known. "Not the owner" protects only when the owner is enrolled under the name that the configuration has. */
export function ownerWarnings(control: Control, people: readonly Person[]): readonly string[] {
  return unknownOwners(control, people).map(({ owner, agents }) => {
    const rest = agents.length > agentsShown ? ` and ${agents.length - agentsShown} more` : ''
    return `${owner} owns ${agents.slice(0, agentsShown).join(', ')}${rest}, and nobody is enrolled under that name: the owner could be anybody here, so nobody can approve what these agents ask. Enrol the owner under that name, or name somebody who is enrolled as the owner in sallyport.yaml.`
  })
}
