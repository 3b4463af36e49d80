import { type AccessRequest, worstKind } from '@sallyport/core'
import { stateOf } from './request-state.ts'
import type { ShownRequest } from './shapes/now.ts'
import { glanceText, scopeSentences } from './words.ts'

const glanceCharacters = 160
const sentenceCharacters = 400

/** A request as lists show it. The agent's text is bounded here and says how much it leaves out; the approval page has the whole. */
export function shownRequestOf(request: AccessRequest, nowMs: number): ShownRequest {
  const { question } = request
  const { headline, further } = scopeSentences(question)
  return {
    id: request.id,
    state: stateOf(request, nowMs),
    kind: worstKind(question.operations.map(({ kind }) => kind)),
    headline: glanceText(headline, sentenceCharacters),
    further: further.map((sentence) => glanceText(sentence, sentenceCharacters)),
    glance: glanceText(question.text, glanceCharacters),
    agent: question.subject.agent,
    owner: question.subject.owner,
    upstream: question.upstream,
    environment: question.environment,
    approvals: request.approvals.filter(({ verdict }) => verdict === 'approve').length,
    approvalsNeeded: question.approvalsNeeded,
    createdAtMs: request.createdAtMs,
    expiresAtMs: request.expiresAtMs,
    notBeforeMs: request.notBeforeMs,
  }
}
