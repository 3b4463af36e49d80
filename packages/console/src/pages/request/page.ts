import {
  type AccessRequest,
  type Approval,
  type Conditions,
  isByCode,
  type Question,
  visibleLine,
  worstKind,
} from '@sallyport/core'
import { fence, showLine } from '../../fence.ts'
import { countdown, type Frame, postureLine, renderPage } from '../../frame.ts'
import { markup, type Markup, type Piece } from '../../markup.ts'
import { type ShownState, stateOf, stateWords } from '../../request-state.ts'
import { formatAmount, formatCount, formatDuration, formatInstant } from '../../time-words.ts'
import { badgeOf, copyAge, copySentence, limitSentence, scopeSentences } from '../../words.ts'
import { renderBindValues, renderOperation } from './operation.ts'
import { renderSteps } from './steps.ts'

/** One request as its page shows it. */
export interface RequestView {
  readonly request: AccessRequest
  /** What a passkey would sign for each verdict, hex: made from the very question that is shown. */
  readonly challenges: {
    readonly approve: string
    readonly reject: string
    /** Null: this person may not break glass. */
    readonly breakGlass: string | null
    /** Not signed: carried along with a one-time code. Null: no code of this person's approves this. */
    readonly code: string | null
  }
  /** One person broke glass for it, and nobody else has looked at it yet. */
  readonly reviews: boolean
  readonly newestCopyAtMs: number | null
  /** The sentence of each guard, by id; an unknown id is shown alone. */
  readonly guardSentences: ReadonlyMap<string, string>
  /** Why this person cannot approve, or null. */
  readonly cannotApprove: string | null
  readonly version: string
  /** Scope that it gave for a time, and until when it stands. Null: none, or no longer. */
  readonly standsUntilMs: number | null
  /** The plan that it is a step of. Null: it stands alone. */
  readonly plan: string | null
  /** Of an approval ahead, how often it was used. Null: it is none, or does not count yet. */
  readonly aheadUses: number | null
}

/** The verdict page. What is shown is what is signed: every field of the question is on it. */
export function renderRequest(frame: Frame, view: RequestView): string {
  const { request } = view
  const state = stateOf(request, frame.nowMs)
  return renderPage(frame, {
    title: visibleLine(scopeSentences(request.question).headline),
    path: '/requests',
    width: 'wide',
    scripts: ['page.js', 'passkey.js'],
    refresh: { address: `/requests/${request.id}/version`, version: view.version },
    // What is asked comes first, and the verdict after it; where there is room it stands beside, and stays.
    body: markup`<div class="grid"><div>${[renderHero(view, frame.nowMs), ...renderQuestion(view, frame.nowMs)]}</div><div class="side stays">${[
      renderState(view, state, frame.nowMs),
      view.plan === null ? '' : renderPlanOf(view.plan),
      view.aheadUses === null ? '' : renderAheadUses(view.aheadUses, request, frame.nowMs),
      view.standsUntilMs === null ? '' : renderStanding(request, view.standsUntilMs, frame.nowMs),
      view.reviews ? renderReview(request) : '',
      state === 'pending' ? renderVerdict(view, frame) : '',
    ]}<p class="dim small">${postureLine(frame.posture)}</p></div></div>`,
  })
}

function renderHero({ request, newestCopyAtMs }: RequestView, nowMs: number): Markup {
  const { question } = request
  const badge = badgeOf(worstKind(question.operations.map(({ kind }) => kind)))
  const { headline, further } = scopeSentences(question)
  const irreversible = question.operations.some(({ reversible }) => !reversible)
  return markup`<section class="card hero ${badge.tone}"><p class="${badge.tone}"><span class="badge ${badge.tone}"><span aria-hidden="true">${badge.sign}</span> ${badge.word}</span> <span class="badge ${question.environment === 'production' ? 'strong' : ''}">${question.environment === 'production' ? '●' : '○'} ${question.environment}</span></p>
<h1>${showLine(headline)}</h1>
<ul class="facts">${further.map((fact) => markup`<li>${fact}</li>`)}
<li class="${isCopied(question) ? '' : 'bad'}">${shortCopy(question.copy, newestCopyAtMs, nowMs)}</li>
${irreversible ? markup`<li class="bad">Not reversible by itself</li>` : ''}</ul></section>`
}

/** Every field of the question. One that is added to Question and not shown here is a type error in the last line. */
function renderQuestion({ request, guardSentences }: RequestView, nowMs: number): readonly Piece[] {
  const {
    digest,
    subject,
    protocol,
    upstream,
    environment,
    text,
    bindValues,
    operations,
    rowsMax,
    copy,
    approvalsNeeded,
    approversFrom,
    delayMs,
    guards,
    policyHash,
    steps,
    ahead,
    ...unseen
  } = request.question
  const everythingIsShown: Readonly<Record<string, never>> = unseen
  const { agent, owner, ...unseenSubject } = subject
  const wholeSubjectIsShown: Readonly<Record<string, never>> = unseenSubject
  return [
    markup`<section class="card"><h2>Who asks</h2><dl>
<dt>Agent</dt><dd><b>${showLine(agent)}</b></dd><dt>For its owner</dt><dd>${showLine(owner)}</dd>
<dt>Where</dt><dd>${showLine(upstream)}, <b>${environment}</b>, by ${showLine(protocol)}</dd>
<dt>Session</dt><dd><code>${showLine(request.session)}</code></dd>
<dt>Asked</dt><dd>${formatDuration(nowMs - request.createdAtMs)} ago, ${formatInstant(request.createdAtMs)}</dd></dl></section>`,
    markup`<section class="card">${fence(steps === undefined ? 'What the agent sent' : 'What it is for, in the agent’s words', text)}${renderBindValues(bindValues)}</section>`,
    steps === undefined
      ? markup`<section class="card"><h2>What it will do</h2>${operations.map((operation, index) => renderOperation(operation, index, operations.length))}</section>`
      : renderSteps(steps, operations),
    ahead === undefined ? '' : renderAhead(ahead),
    markup`<section class="card"><h2>What protects you</h2><dl>
<dt>Copy</dt><dd>${isCopied({ copy }) ? copySentence({ copy, protocol }) : markup`<b>✕ ${copySentence({ copy, protocol })}</b>`} <span class="dim">(${copy})</span></dd>
<dt>Limit</dt><dd>${steps === undefined ? limitSentence({ rowsMax, protocol }) : 'Each step has its own, above.'}</dd>
<dt>People</dt><dd>${approvalSentence(approvalsNeeded, approversFrom)}</dd>
<dt>Cool-off</dt><dd>${delayMs === 0 ? 'None: it may run as soon as it is approved.' : `${formatDuration(delayMs)} (${formatCount(delayMs)} ms) after approval; anyone can cancel until then.`}</dd>
<dt>Asked by</dt><dd>${guards.map((guard) => markup`<div>${guardSentences.get(guard) ?? ''} <code class="dim">${showLine(guard)}</code></div>`)}</dd></dl></section>`,
    markup`<section class="card fine"><h2>What your passkey signs</h2><p class="dim small">All of the above, under these marks.${keepNothing(everythingIsShown, wholeSubjectIsShown)}</p><dl>
<dt>Request</dt><dd><code>${request.id}</code></dd><dt>Digest</dt><dd><code>${showLine(digest)}</code></dd><dt>Policy</dt><dd><code>${showLine(policyHash)}</code></dd>
<dt>Nonce</dt><dd><code>${showLine(request.nonce)}</code></dd><dt>Expires</dt><dd>${formatInstant(request.expiresAtMs)} (${request.expiresAtMs})</dd></dl></section>`,
  ]
}

function keepNothing(...rest: readonly Readonly<Record<string, never>>[]): string {
  return rest.every((part) => Object.keys(part).length === 0)
    ? ''
    : ' The gate holds more than this page can show: do not approve.'
}

function approvalSentence(needed: number, group: string | undefined): Markup {
  const whose = group === undefined ? '' : markup` Only people of the group <b>${showLine(group)}</b> count.`
  return markup`${needed === 1 ? '1 approval is needed.' : `${formatCount(needed)} approvals by different people are needed.`}${whose}`
}

function renderState({ request, plan }: RequestView, state: ShownState, nowMs: number): Markup {
  const words = stateWords(state)
  const until =
    state === 'pending'
      ? markup`<span>expires in ${countdown(request.expiresAtMs, nowMs)}</span>`
      : state === 'cooling' && request.notBeforeMs !== null
        ? markup`<span>may run in <b>${countdown(request.notBeforeMs, nowMs)}</b></span>`
        : ''
  const cancel = state === 'cooling' || state === 'approved'
  return markup`<section class="card" id="state"><div class="state"><span class="badge ${words.tone}"><span aria-hidden="true">${words.sign}</span> ${words.word}</span>${until}</div>
<p class="small" id="sentence">${words.sentence}${request.endedBy === null ? '' : [' By ', showLine(request.endedBy), '.']}</p>
<p class="small dim">${state !== 'pending' && plan !== null ? 'Decided about with its plan.' : sayApprovals(request)}</p>
${request.approvals.length === 0 ? '' : markup`<ul class="facts small">${request.approvals.map(renderApproval)}</ul>`}
${cancel ? markup`<div class="buttons"><button class="stop" data-post="/requests/${request.id}/cancel" data-then="/requests/${request.id}">Cancel it</button></div><p role="status" aria-live="polite"></p>` : ''}</section>`
}

function sayApprovals({ approvals, question }: AccessRequest): string {
  const given = approvals.filter(({ verdict }) => verdict === 'approve').length
  return `${formatCount(given)} of ${formatAmount(question.approvalsNeeded, 'approval')} so far.`
}

function renderAhead({ digest, uses, forMs }: NonNullable<Question['ahead']>): Markup {
  return markup`<section class="card"><h2>Answered ahead</h2><p class="odd"><b aria-hidden="true">⚠</b> Exactly this, byte for byte, up to <b>${formatAmount(uses, 'time')}</b> within <b>${formatDuration(forMs)}</b> (${formatCount(forMs)} ms) from when it counts, without asking anybody. Copies, limits and delays hold each time.</p>
<dl><dt>Answers</dt><dd><code>${showLine(digest)}</code></dd></dl></section>`
}

function renderAheadUses(used: number, { question, notBeforeMs, state }: AccessRequest, nowMs: number): Markup {
  const endsMs = (notBeforeMs ?? 0) + (question.ahead?.forMs ?? 0)
  const stands = state === 'approved' && nowMs < endsMs
  return markup`<section class="card"><p>Used ${formatCount(used)} of ${formatAmount(question.ahead?.uses ?? 0, 'time')}. ${stands ? markup`It stands for another ${countdown(endsMs, nowMs)}; cancelling it ends it, and what it let run and has not run.` : 'It does not stand any more.'}</p></section>`
}

function renderPlanOf(plan: string): Markup {
  return markup`<p class="card">It is a step of <a href="/requests/${plan}">a plan</a>, which can be decided about as a whole.</p>`
}

function renderStanding({ id }: AccessRequest, untilMs: number, nowMs: number): Markup {
  return markup`<section class="card"><h2>It stands now</h2><p>For another ${countdown(untilMs, nowMs)}. Ending it needs no passkey; sessions that have it end with it.</p>
<div class="buttons"><button class="stop" data-post="/requests/${id}/end-standing" data-then="/requests/${id}">End it now</button></div><p role="status" aria-live="polite"></p></section>`
}

function renderReview({ id }: AccessRequest): Markup {
  return markup`<form class="card" data-passkey="get" data-options="/requests/${id}/review/options" data-finish="/requests/${id}/review">
<h2>To be looked at</h2><p class="odd"><b aria-hidden="true">⚠</b> One person broke glass for this. Somebody else looks at what was asked, what came of it and why, and says so here.</p>
<div class="buttons"><button>I looked at it</button></div><p role="status" aria-live="polite"></p></form>`
}

function renderGlass(challenge: string | null, needed: number): Markup | string {
  if (challenge === null) return ''
  return markup`<details><summary>Break glass</summary><p class="odd">You alone, for everybody who should approve${needed > 1 ? ', after the cool-off' : ''}. Copies, limits and guards hold all the same. It rings everywhere, and somebody else has to look at it afterwards.</p>
<div class="buttons"><button class="stop" name="verdict" value="approve" data-glass data-challenge="${challenge}">⚠ Break glass with passkey</button></div></details>`
}

function renderApproval(approval: Approval): Markup {
  return markup`<li><b>${showLine(approval.person)}</b> ${verbOf(approval)}${sayConditions(approval.conditions)}, ${formatInstant(approval.atMs)}${approval.reason === '' ? '' : [': “', showLine(approval.reason), '”']}</li>`
}

function verbOf(approval: Approval): string {
  if (approval.verdict === 'reject') return '✕ rejected'
  if (approval.breakGlass === true) return '⚠ broke glass'
  return isByCode(approval) ? '⚠ approved by a one-time code, which signs nothing' : '✓ approved'
}

function sayConditions(conditions: Conditions | undefined): string {
  if (conditions === undefined) return ''
  const rows = conditions.rowsMax === null ? [] : [`for at most ${formatAmount(conditions.rowsMax, 'row')}`]
  const time = conditions.notBeforeMs === null ? [] : [`not before ${formatInstant(conditions.notBeforeMs)}`]
  return ` ${[...rows, ...time].join(', ')}`
}

function renderVerdict({ request, challenges, cannotApprove }: RequestView, frame: Frame): Markup {
  const mine = request.approvals.find(({ person }) => person === frame.person)
  if (mine)
    return markup`<section class="card"><p>You have given your verdict. It waits for others.</p><p><a href="/requests">All requests</a></p></section>`
  return markup`<form class="card" data-passkey="get" data-options="/requests/${request.id}/challenge" data-finish="/requests/${request.id}/verdict">
<h2>Your verdict</h2>${cannotApprove === null ? '' : markup`<p class="odd"><b aria-hidden="true">⚠</b> ${cannotApprove}</p>`}
${renderConditions(request.question)}
<label for="reason">Reason <span class="dim">(kept on the log)</span></label><textarea id="reason" name="reason" maxlength="1000"></textarea>
<div class="buttons"><button class="stop" name="verdict" value="approve" data-challenge="${challenges.approve}">✓ Approve with passkey</button>
<button name="verdict" value="reject" data-challenge="${challenges.reject}">✕ Reject with passkey</button></div>
${renderGlass(challenges.breakGlass, request.question.approvalsNeeded)}
<p role="status" aria-live="polite"></p></form>
${challenges.code === null ? '' : renderCode(request.id, challenges.code)}`
}

function renderCode(id: string, challenge: string): Markup {
  return markup`<form class="card" data-send="/requests/${id}/code"><details><summary>Approve by a one-time code instead</summary>
<p class="odd"><b aria-hidden="true">⚠</b> Weaker than your passkey: a code signs nothing of what is shown here, and the log says so. Policy allows it for this.</p>
<input type="hidden" name="shown" value="${challenge}">
<label for="code">The code that your app shows now</label><input id="code" name="code" required inputmode="numeric" autocomplete="one-time-code" pattern="[0-9 ]{6,8}" maxlength="8">
<label for="code-reason">Reason <span class="dim">(kept on the log)</span></label><textarea id="code-reason" name="reason" maxlength="1000"></textarea>
<div class="buttons"><button class="stop">⚠ Approve by code</button></div></details><p role="status" aria-live="polite"></p></form>`
}

/** What an approval may ask beyond the question's own bounds: part of what is signed. */
function renderConditions({ rowsMax }: Question): Markup {
  const rows =
    rowsMax === null
      ? ''
      : markup`<label for="rows">At most so many rows <span class="dim">(${formatCount(rowsMax)} or fewer)</span></label><input id="rows" type="number" min="1" max="${rowsMax}" step="1" inputmode="numeric" data-condition="rowsMax">`
  return markup`<details><summary>Approve under conditions</summary>${rows}
<label for="after">Not before <span class="dim">(your clock, within 7 days)</span></label><input id="after" type="datetime-local" data-condition="notBeforeMs"></details>`
}

/** On the list, in few words. */
function shortCopy(copy: Question['copy'], newestCopyAtMs: number | null, nowMs: number): string {
  if (copy === 'impossible') return 'No copy can be made of it'
  if (copy === 'moved') return 'No copy is made of it'
  return copy === 'restore_point' ? 'No copy of it: a restore point before it' : copyAge(newestCopyAtMs, nowMs)
}

function isCopied({ copy }: Pick<Question, 'copy'>): boolean {
  return copy !== 'impossible' && copy !== 'moved'
}
