import { VirtualPerson, type Answered } from '../../packages/cli/src/drill/person.ts'
import { SoftwarePasskey } from './passkey.ts'

/** What a person's browser got for an answer. */
export type HttpAnswer = Answered

/** The person that drills use, with a passkey that can be told to sign wrongly. */
export type HttpPerson = VirtualPerson<SoftwarePasskey>

/** @param origin the address of the people's pages */
export function makeHttpPerson(name: string, origin: string): HttpPerson {
  return new VirtualPerson(name, origin, new SoftwarePasskey(origin))
}
