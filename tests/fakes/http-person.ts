import { sha256Hex } from '@sallyport/core'
import { challengeIn, VirtualPerson, type Answered } from '../../packages/cli/src/drill/person.ts'
import { SoftwarePasskey } from './passkey.ts'

/** What a person's browser got for an answer. */
export type HttpAnswer = Answered

/** The person that drills use, with a passkey that can be told to sign wrongly. */
export type HttpPerson = VirtualPerson<SoftwarePasskey>

/** @param origin the address of the people's pages */
export function makeHttpPerson(name: string, origin: string): HttpPerson {
  return new VirtualPerson(name, origin, new SoftwarePasskey(origin))
}

/** Stands by somebody's invitation with the person's passkey, or is refused. */
export async function confirmInvitation(person: HttpPerson, link: string): Promise<HttpAnswer> {
  const path = `/people/invitations/${sha256Hex(new URL(link).hash.slice(1))}/confirm`
  const asked = await person.post(`${path}/options`, {})
  return asked.status === 200 ? person.post(path, { response: person.sign(challengeIn(asked)) }) : asked
}
