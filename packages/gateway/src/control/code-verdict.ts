import { type AccessRequest, findCodeFault } from '@sallyport/core'
import type { Person } from './ports.ts'
import type { Site } from './site.ts'

/** Whether this person is offered to approve this by a one-time code. What is offered is judged again when the code comes. */
export function mayUseCode({ ports }: Site, person: Person, { question }: AccessRequest): boolean {
  return person.codeApp !== null && ports.codes !== undefined && findCodeFault(ports.codes.rule, question) === null
}
