import { countdown, type Frame, postureLine, renderPage } from '../../frame.ts'
import { showLine } from '../../fence.ts'
import { markup, type Markup } from '../../markup.ts'
import { formatAmount, formatInstant } from '../../time-words.ts'

export interface PersonLine {
  readonly id: string
  readonly name: string
  readonly enrolledAtMs: number
  readonly passkeys: number
  /** Null: only the log knows. */
  readonly admission: { readonly invitedBy: string | null; readonly confirmedBy: string | null } | null
}

export interface InvitationLine {
  /** SHA-256 of the link's token, hex. */
  readonly id: string
  readonly invitedBy: string
  readonly createdAtMs: number
  readonly expiresAtMs: number
  readonly confirmedBy: string | null
  /** It enrols nobody before somebody else confirms it. */
  readonly waits: boolean
  /** Of who looks at the page. */
  readonly isOwn: boolean
}

export interface RemovalLine {
  readonly id: string
  readonly name: string
  readonly by: string
  readonly atMs: number
  /** A second person has to stand by it. */
  readonly waits: boolean
  readonly confirmedBy: string | null
  /** By who looks at the page. */
  readonly isOwn: boolean
}

export interface PeopleView {
  readonly people: readonly PersonLine[]
  readonly invitations: readonly InvitationLine[]
  /** An invitation made now takes a second person. */
  readonly needsSecond: boolean
  /** Nobody else was ever enrolled. */
  readonly alone: boolean
  readonly removed: readonly RemovalLine[]
  readonly onCall: readonly OnCallLine[]
}

/** Who is rung first, by rotation. */
export interface OnCallLine {
  readonly name: string
  readonly zone: string
  readonly person: string | null
  readonly untilMs: number | null
  readonly next: string | null
}

export function renderPeople(frame: Frame, view: PeopleView): string {
  return renderPage(frame, {
    title: 'People',
    path: '/people',
    width: 'normal',
    scripts: ['page.js', 'passkey.js'],
    body: markup`<h1>People</h1><p class="dim">${postureLine(frame.posture)}</p>
<section class="card"><ul class="rows">${view.people.map((person) => renderPerson(frame, view, person))}</ul>
${view.removed.map(renderRemoved)}</section>
${view.onCall.length === 0 ? '' : markup`<section class="card"><h2>On call</h2>${view.onCall.map((line) => renderOnCall(frame, line))}</section>`}
${view.invitations.length === 0 ? '' : markup`<h2>Open invitations</h2>${view.invitations.map((line) => renderInvitation(frame, line))}`}
<form class="card" data-passkey="get" data-options="/people/invitations/options" data-finish="/people/invitations">
<h2>Invite a person</h2>
${renderTerms(frame, view)}
<div class="buttons"><button type="submit">Make an invitation</button></div>
<p role="status" aria-live="polite"></p><p><output class="mono"></output></p></form>`,
  })
}

function renderOnCall(frame: Frame, { name, zone, person, untilMs, next }: OnCallLine): Markup {
  const who = person === null ? 'nobody yet, so everybody of it' : markup`<b>${showLine(person)}</b>`
  const then =
    untilMs === null ? '' : markup`, for another ${countdown(untilMs, frame.nowMs)}; then ${showLine(next ?? 'nobody')}`
  return markup`<p>${showLine(name)}: ${who}${then} <span class="dim small">(${showLine(zone)})</span></p>`
}

function renderRemoved({ id, name, by, atMs, waits, confirmedBy, isOwn }: RemovalLine): Markup {
  const said = markup`<p class="dim small">${showLine(name)} was removed by ${showLine(by)} ${formatInstant(atMs)}${
    confirmedBy === null ? '' : markup`, confirmed by ${showLine(confirmedBy)}`
  }${waits ? '; a second person has to confirm it' : ''}${confirmedBy === null ? markup` · <a href="/restore">take it back</a>` : ''}</p>`
  if (!waits || isOwn) return said
  const path = `/people/${id}/confirm-removal`
  return markup`${said}<form data-passkey="get" data-options="${path}/options" data-finish="${path}"><div class="buttons"><button class="slight stop" type="submit">Confirm that ${showLine(name)} is removed</button></div><p role="status" aria-live="polite"></p></form>`
}

function renderPerson(frame: Frame, view: PeopleView, person: PersonLine): Markup {
  const facts = [formatAmount(person.passkeys, 'passkey'), `since ${formatInstant(person.enrolledAtMs)}`]
  return markup`<li><div class="state"><span><b>${showLine(person.name)}</b>${person.name === frame.person ? ' (you)' : ''}${renderAdmission(person)}</span>
<span class="dim small">${person.name === frame.person ? markup`<a href="/people/me">your passkeys</a> · ` : ''}${facts.join(' · ')}</span></div>
${view.people.length > 1 ? renderRemoval(frame, view, person) : ''}</li>`
}

/** Behind a fold: it is done once a year, and must not be done by a slip. */
function renderRemoval(frame: Frame, { people }: PeopleView, { id, name }: PersonLine): Markup {
  const isLastPair = frame.posture.mode === 'team' && people.length === 2
  const path = `/people/${id}/remove`
  return markup`<details><summary class="small">Remove</summary><form data-passkey="get" data-options="${path}/options" data-finish="${path}">
<p class="small">${name === frame.person ? 'You are' : markup`${showLine(name)} is`} signed out at once and approves nothing any more; what was approved and has not run is cancelled. The name stays taken.</p>
${isLastPair ? markup`<p class="odd">One of you would be left, and in a team one person lets nobody in, approves nothing of their own agents and widens nothing: invite the next one first, if you can.</p>` : ''}
<div class="buttons"><button class="slight stop" type="submit">Remove with passkey</button></div><p role="status" aria-live="polite"></p></form></details>`
}

function renderAdmission({ admission }: PersonLine): Markup | '' {
  if (admission === null) return ''
  const { invitedBy, confirmedBy } = admission
  if (invitedBy === null) return markup` <span class="dim small">enrolled first, from the terminal</span>`
  if (confirmedBy === null) return markup` <span class="dim small">invited by ${showLine(invitedBy)} alone</span>`
  return markup` <span class="dim small">invited by ${showLine(invitedBy)}, confirmed by ${showLine(confirmedBy)}</span>`
}

function renderInvitation(frame: Frame, line: InvitationLine): Markup {
  const by = line.isOwn ? 'you' : showLine(line.invitedBy)
  const withdraw = markup`<button type="button" data-post="/people/invitations/${line.id}/withdraw" data-then="/people">Withdraw</button>`
  const confirms = line.waits && !line.isOwn
  const form = confirms
    ? markup`<form class="card" data-passkey="get" data-options="/people/invitations/${line.id}/confirm/options" data-finish="/people/invitations/${line.id}/confirm">`
    : markup`<section class="card">`
  return markup`${form}<div class="state"><span>Invited by <b>${by}</b> <span class="dim small">${formatInstant(line.createdAtMs)} · link <code>${line.id.slice(0, 12)}</code></span></span>
<span class="badge ${line.waits ? 'warn' : 'good'}">${stateOf(line)}</span></div>
<p class="small">${explain(line)} Runs out in ${countdown(line.expiresAtMs, frame.nowMs)}.</p>
<div class="buttons">${confirms ? markup`<button class="main" type="submit">Confirm with passkey</button>` : ''}${withdraw}</div>
<p role="status" aria-live="polite"></p>${confirms ? markup`</form>` : markup`</section>`}`
}

function stateOf(line: InvitationLine): string {
  if (line.waits) return 'waits for a second person'
  return line.confirmedBy === null ? 'open' : 'confirmed'
}

function explain(line: InvitationLine): Markup {
  if (line.confirmedBy !== null)
    return markup`Confirmed by ${showLine(line.confirmedBy)}: whoever opens the link first is enrolled.`
  if (!line.waits) return markup`Whoever opens the link first is enrolled.`
  return line.isOwn
    ? markup`It enrols nobody until somebody else who is enrolled confirms it here.`
    : markup`Ask ${showLine(line.invitedBy)} who it is for. By confirming you vouch that it is for a person who is not listed here yet, under any name.`
}

function renderTerms(frame: Frame, view: PeopleView): Markup {
  if (view.needsSecond)
    return markup`<p>Makes a link that enrols one person. It works for an hour, once somebody else who is enrolled has confirmed it on this page: nobody here lets people in alone. It needs your passkey.</p>`
  const link = markup`<p>Makes a link that enrols one person and works for ten minutes. Whoever opens it first can approve from then on, so hand it over yourself. It needs your passkey.</p>`
  if (frame.posture.mode === 'solo')
    return markup`${link}<p class="dim small">In solo mode nobody else confirms it. Whom you let in now counts as a second person when this becomes team mode.</p>`
  return view.alone
    ? markup`${link}<p class="odd">The second person is yours to choose alone, as there is nobody to ask. If that were you again with another passkey, one person would approve everything here: four eyes begin with this invitation. From the third on, it takes two of you.</p>`
    : link
}
