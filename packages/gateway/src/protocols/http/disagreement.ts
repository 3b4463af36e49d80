import { writeAuthority, type Origin } from './origin.ts'
import { AlarmingRefusal } from './refusal.ts'
import { hideTokens } from './token-shape.ts'

/** CONNECT, SNI, Host and the URL must name one host: a request decided as one and answered by another was never decided. */
export function disagreement(where: string, said: string, origin: Origin): AlarmingRefusal {
  const data = { where, said: hideTokens(said.slice(0, 300).toWellFormed()), connected: writeAuthority(origin) }
  return new AlarmingRefusal(
    'protocol_violation',
    `${where} names another host than ${writeAuthority(origin)}, to which this request was addressed.`,
    'Address one host, and connect to that one.',
    { kind: 'authority_mismatch', data },
  )
}
