import { type Frame, postureLine, renderPage } from '../../frame.ts'
import { showLine } from '../../fence.ts'
import { markup } from '../../markup.ts'
import { formatAmount, formatInstant } from '../../words.ts'

export interface PersonLine {
  readonly name: string
  readonly enrolledAtMs: number
  readonly passkeys: number
}

export function renderPeople(frame: Frame, people: readonly PersonLine[]): string {
  return renderPage(frame, {
    title: 'People',
    path: '/people',
    width: 'normal',
    scripts: ['page.js', 'passkey.js'],
    body: markup`<h1>People</h1><p class="dim">${postureLine(frame.posture)}</p>
<section class="card"><ul class="rows">${people.map(
      (
        person,
      ) => markup`<li><div class="state"><span><b>${showLine(person.name)}</b>${person.name === frame.person ? ' (you)' : ''}</span>
<span class="dim small">${formatAmount(person.passkeys, 'passkey')} · since ${formatInstant(person.enrolledAtMs)}</span></div></li>`,
    )}</ul></section>
<form class="card" data-passkey="get" data-options="/people/invitations/options" data-finish="/people/invitations">
<h2>Invite a person</h2>
<p>Makes a link that enrols one person and works for ten minutes. Whoever opens it first can approve from then on, so hand it over yourself. It needs your passkey.</p>
<div class="buttons"><button type="submit">Make an invitation</button></div>
<p role="status" aria-live="polite"></p><p><output class="mono"></output></p></form>`,
  })
}
