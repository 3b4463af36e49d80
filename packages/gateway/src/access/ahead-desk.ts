import {
  aheadDigestOf,
  findAheadEnd,
  findYeses,
  makeAheadQuestion,
  SallyportError,
  type AccessRequest,
  type AheadWanted,
} from '@sallyport/core'
import { openRequest, type OpeningPorts } from './opening.ts'

interface AheadPorts extends OpeningPorts {
  readonly policyHash: () => string
}

/** A person puts to people that exactly what they always say yes to is answered ahead. It gives nothing by itself. @throws SallyportError */
export async function askAhead(ports: AheadPorts, id: string, wanted: AheadWanted, by: string): Promise<AccessRequest> {
  const { requests, clock, settings, policyHash } = ports
  const known = await requests.get(id)
  if (known === null) throw refuse('There is no such request.')
  const { digest, subject, upstream } = known.question
  const nowMs = clock.nowMs()
  const yeses = findYeses(await requests.list(), digest, nowMs)
  if (yeses === null) throw refuse('Fewer than five of it were answered in thirty days, or not all with a plain yes by passkey.')
  const before = await requests.findByDigest(subject.agent, aheadDigestOf(digest))
  const waits = before?.state === 'pending' && before.expiresAtMs > nowMs
  if (before !== null && (waits || (await findAheadEnd(requests, before, policyHash(), nowMs)) !== null))
    throw refuse('It is approved ahead already, or people are asked about it.')
  const { mode, coolOffMs, quorumOf } = settings()
  const quorum = (await quorumOf?.(upstream)) ?? null
  const question = makeAheadQuestion(yeses, wanted, { mode, coolOffMs, quorum, policyHash: policyHash() })
  return openRequest(ports, { agent: subject.agent, session: `person ${by}` }, question)
}

function refuse(what: string): SallyportError {
  return new SallyportError('refused_by_guard', what, 'Nothing was asked of people.', 'Answer it each time.')
}
