import type { AccessRequest } from '@sallyport/core'
import { showLine } from '../../fence.ts'
import { countdown, type Frame, postureLine, renderPage } from '../../frame.ts'
import { markup, type Markup } from '../../markup.ts'
import { stateOf, stateWords } from '../../request-state.ts'
import { formatAmount, formatDuration, formatInstant } from '../../time-words.ts'
import { badgeOf, scopeSentences, glanceText } from '../../words.ts'
import { worstKind } from '@sallyport/core'

/** What waits, then what was decided, newest first. */
export function renderRequests(frame: Frame, requests: readonly AccessRequest[], version: string): string {
  const newest = requests.toSorted((left, right) => right.createdAtMs - left.createdAtMs)
  const open = newest.filter((request) => isOpen(request, frame.nowMs))
  const done = newest.filter((request) => !isOpen(request, frame.nowMs))
  return renderPage(frame, {
    title: open.length > 0 ? `(${open.length}) Requests` : 'Requests',
    path: '/requests',
    width: 'normal',
    scripts: ['page.js'],
    refresh: { address: '/requests/version', version },
    body: markup`<h1>Requests</h1><p class="dim">${postureLine(frame.posture)}</p>
<section class="card"><h2>Waiting for people</h2>${
      open.length === 0
        ? markup`<p class="dim">Nothing waits. When an agent asks for something that needs a person, it appears here.</p>`
        : markup`<ul class="rows">${open.map((request) => renderRow(request, frame.nowMs))}</ul>`
    }</section>
${done.length === 0 ? '' : markup`<section class="card"><h2>Decided</h2><ul class="rows">${done.map((request) => renderRow(request, frame.nowMs))}</ul></section>`}
<p role="status" aria-live="polite"></p>`,
  })
}

function isOpen(request: AccessRequest, nowMs: number): boolean {
  const state = stateOf(request, nowMs)
  return state === 'pending' || state === 'cooling'
}

function renderRow(request: AccessRequest, nowMs: number): Markup {
  const { question } = request
  const state = stateOf(request, nowMs)
  const badge = badgeOf(worstKind(question.operations.map(({ kind }) => kind)))
  const words = stateWords(state)
  const untilMs = state === 'cooling' ? request.notBeforeMs : state === 'pending' ? request.expiresAtMs : null
  const when =
    untilMs === null
      ? markup`<span title="${formatInstant(request.createdAtMs)}">${formatDuration(nowMs - request.createdAtMs)} ago</span>`
      : markup`${state === 'cooling' ? 'may run in' : 'expires in'} ${countdown(untilMs, nowMs)}`
  return markup`<li><a class="row" href="/requests/${request.id}">
<h3><span class="badge ${badge.tone}"><span aria-hidden="true">${badge.sign}</span> ${badge.word}</span> ${showLine(scopeSentences(question).headline)}</h3>
<code>${showLine(glanceText(question.text, beginningCharacters))}</code><div class="dim small">${showLine(question.subject.agent)} for ${showLine(question.subject.owner)} · ${showLine(question.upstream)}, ${question.environment} ·
<b>${words.sign} ${words.word}</b>${state === 'pending' ? ` (${request.approvals.length} of ${formatAmount(question.approvalsNeeded, 'approval')})` : ''} · ${when}</div></a></li>`
}

const beginningCharacters = 120

/** Enough to tell two requests apart; it says how much it leaves out. The request's page has the whole. */
