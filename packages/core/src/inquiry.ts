import { questionJson, type AccessRequest } from './access-request.ts'
import { answerAhead } from './ahead.ts'
import type { Deny } from './decide.ts'
import { SallyportError } from './error.ts'
import type { GovernPorts } from './govern-ports.ts'
import type { ResolvedOperation } from './operation.ts'
import { noteEvent, type Passage } from './passage.ts'
import { makeQuestion, targetsOf } from './question.ts'

/** One event of the log holds a question whole, so that a verdict can be checked offline; and nobody approves a book. */
export const questionBytesMax = 48 * 1024

/** Finds the question that already asks exactly this, or opens one: durable on the log, then in the store, then people are told. */
export async function findOrOpen(
  ports: GovernPorts,
  passage: Passage,
  operations: readonly ResolvedOperation[],
  digest: string,
  denial: Deny,
): Promise<AccessRequest> {
  const { requests, clock, random, notify } = ports
  const { session } = passage.asked
  const found = await requests.findByDigest(session.subject.agent, digest)
  const nowMs = clock.nowMs()
  if (found !== null && (await isCurrent(ports, passage, found, operations, nowMs))) return found
  const settings = ports.settings()
  if ((await requests.countPending(session.subject.agent, nowMs)) >= settings.pendingMax) {
    throw new SallyportError(
      'limit_exceeded',
      `This agent has ${settings.pendingMax} requests waiting for people already.`,
      'Nothing was run, and no request was opened.',
      'Wait until some are decided or have expired.',
    )
  }
  const question = makeQuestion(passage.asked, operations, digest, denial, passage.policy.hash)
  const asked = questionJson(question)
  if (Buffer.byteLength(JSON.stringify(asked)) > questionBytesMax) {
    throw new SallyportError(
      'too_large',
      'This is more than a person can be asked to read at once.',
      'Nothing was run, and no request was opened.',
      `Send it in pieces of less than ${questionBytesMax / 1024} KiB, scope and names included.`,
    )
  }
  const request: AccessRequest = {
    id: random.hex(16),
    nonce: random.hex(32),
    session: session.id,
    question,
    state: 'pending',
    approvals: [],
    createdAtMs: nowMs,
    expiresAtMs: nowMs + settings.requestMs,
    notBeforeMs: null,
    endedBy: null,
  }
  // The whole question: whoever has the log can compute the challenge again and see what a verdict was given on.
  await noteEvent(ports, passage, 'request.opened', {
    request: request.id,
    nonce: request.nonce,
    question: asked,
    expiresAtMs: request.expiresAtMs,
  })
  await requests.open(request)
  const answered = await answerAhead(ports, request, passage.policy.hash)
  if (answered.state === 'pending') notify.requestOpened(request)
  return answered
}

/** Whether a request found by digest still asks what would be asked now. A rejection stands as long as a question would have. */
async function isCurrent(
  ports: GovernPorts,
  passage: Passage,
  found: AccessRequest,
  operations: readonly ResolvedOperation[],
  nowMs: number,
): Promise<boolean> {
  if (found.question.policyHash !== passage.policy.hash) return false
  if (JSON.stringify(targetsOf(found.question.operations)) !== JSON.stringify(targetsOf(operations))) return false
  if (found.state === 'rejected') return found.expiresAtMs > nowMs
  if (found.state === 'pending') {
    if (found.expiresAtMs > nowMs) return true
    await noteEvent(ports, passage, 'request.expired', { request: found.id })
    await ports.requests.end(found.id, ['pending'], 'expired', 'time')
    return false
  }
  if (found.state !== 'approved') return false
  const grant = await ports.requests.findGrant(found.question.subject.agent, found.question.digest)
  return grant !== null && grant.request === found.id && grant.state === 'open' && grant.expiresAtMs > nowMs
}

/** The request once people have decided and its delay is over; null when that takes longer than the client waits. */
export async function waitForPeople(ports: GovernPorts, passage: Passage, request: AccessRequest): Promise<AccessRequest | null> {
  const { clock, requests } = ports
  const { signal } = passage.attendance
  // Approved ahead, and may run: nobody has to wait, nor is there a time in which to.
  if (request.state === 'approved' && (request.notBeforeMs ?? 0) <= clock.nowMs()) return request
  let current: AccessRequest | null = request
  for (;;) {
    const leftMs = passage.deadlineMs - clock.nowMs()
    if (leftMs <= 0 || signal.aborted || current === null) return null
    if (current.state === 'pending') {
      // Approved this very moment it would still be too early when the client stops waiting: better that it knows now.
      if (current.question.delayMs >= leftMs) return null
      current = await requests.waitForVerdict(request.id, leftMs, signal)
      continue
    }
    const delayMs = (current.notBeforeMs ?? 0) - clock.nowMs()
    if (current.state !== 'approved' || delayMs <= 0) return current
    if (delayMs > leftMs) return null
    await clock.sleep(delayMs, signal)
    current = await requests.get(request.id)
  }
}
