import { isSamePerson } from '@sallyport/core'
import type { Control, EnrolmentLink, Person } from './ports.ts'

/**
 * In team mode, from how many enrolled people on an invitation takes a second one of them. Below it there is nobody to ask: the first invites
 * the second alone, and whether those are two people is theirs to know. In solo mode never, and null.
 */
export function confirmFrom(control: Control): number | null {
  return control.posture().mode === 'team' ? 2 : null
}

/** Whether an invitation counts only when somebody else confirmed it, as things stand. The store judges again when it is used. */
export function needsConfirmation(control: Control, people: readonly Person[]): boolean {
  const from = confirmFrom(control)
  return from !== null && people.length >= from
}

/** Whether this link would let nobody in now, for want of somebody who confirms it. */
export function isUnconfirmed(control: Control, link: EnrolmentLink, people: readonly Person[]): boolean {
  return link.invitedBy !== null && link.confirmation === null && needsConfirmation(control, people)
}

/** Whether the owner is somebody whom the gate could tell from an approver. In solo mode it need not. */
export function isOwnerKnown(control: Control, owner: string, people: readonly Person[]): boolean {
  return control.posture().mode === 'solo' || people.some(({ name }) => isSamePerson(name, owner))
}

/** In team mode "not the owner" protects only when the owner is enrolled under the name that the configuration has. A sentence for each who is not. */
export function ownerWarnings(control: Control, people: readonly Person[]): readonly string[] {
  const unknown = control.owners().filter(({ owner }) => !isOwnerKnown(control, owner, people))
  const owners = [...new Set(unknown.map(({ owner }) => owner))]
  return owners.map((name) => {
    const agents = unknown.filter(({ owner }) => owner === name).map(({ agent }) => agent)
    const shown = agents.slice(0, agentsShown).join(', ')
    const rest = agents.length > agentsShown ? ` and ${agents.length - agentsShown} more` : ''
    return `${name} owns ${shown}${rest}, and nobody is enrolled under that name: anybody here could be that owner, so nobody can approve what these agents ask. Enrol the owner under exactly that name, or name somebody who is enrolled as the owner in sallyport.yaml.`
  })
}

const agentsShown = 5
