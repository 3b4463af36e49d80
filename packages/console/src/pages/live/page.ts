import { type Session, visibleLine } from '@sallyport/core'
import { showLine } from '../../fence.ts'
import { type Frame, renderPage } from '../../frame.ts'
import type { LiveLine } from '../../live-line.ts'
import { markup, type Markup, type Piece } from '../../markup.ts'
import { formatInstant } from '../../time-words.ts'

/** A kill in force. */
export interface KillLine {
  readonly id: string
  readonly scope: string
  readonly reason: string
  readonly by: string
  readonly atMs: number
}

/** A session's row, as text, for the page and for the stream. */
export interface SessionLine {
  readonly id: string
  readonly agent: string
  readonly owner: string
  readonly upstream: string
  readonly since: string
}

/** One that runs at another gate has that one's name. */
export function sessionLineOf(session: Session & { readonly gate?: string }): SessionLine {
  const at = session.gate === undefined ? '' : `, at gate ${session.gate}`
  return {
    id: session.id,
    agent: visibleLine(session.subject.agent),
    owner: visibleLine(session.subject.owner),
    upstream: visibleLine(`${session.upstream} (${session.protocol}, from ${session.peer}${at})`),
    since: new Date(session.openedAtMs).toISOString().slice(11, 19),
  }
}

export interface LiveView {
  readonly lines: readonly LiveLine[]
  readonly sessions: readonly SessionLine[]
  readonly agents: readonly string[]
  readonly kills: readonly KillLine[]
}

/** Operations as they happen, sessions, and the switches. Killing needs no passkey; releasing does. */
export function renderLive(frame: Frame, view: LiveView): string {
  return renderPage(frame, {
    title: 'Live',
    path: '/live',
    width: 'wide',
    scripts: ['page.js', 'passkey.js', 'live.js'],
    body: [
      ...view.kills.map(renderKill),
      markup`<h1>Live</h1><div class="grid">${renderSwitches(view.agents)}<div>
<section class="card"><h2>Sessions</h2><div class="scroll"><table><thead><tr><th>Agent</th><th>Upstream</th><th>Since</th><th>Switch</th></tr></thead>
<tbody id="sessions">${view.sessions.map(renderSession)}</tbody></table></div>
<p class="dim" id="idle"${view.sessions.length > 0 ? markup` hidden` : ''}>No agent is connected.</p><p role="status" aria-live="polite"></p></section>
<section class="card"><div class="state"><h2>Operations</h2><span class="dim small" id="stream">Connecting…</span></div>
<ol class="feed" id="feed" reversed data-last="${view.lines.at(-1)?.index ?? -1}">${view.lines.toReversed().map(renderLine)}</ol>
<p class="dim" id="quiet"${view.lines.length > 0 ? markup` hidden` : ''}>Nothing has happened yet.</p></section></div></div>
<template id="line">${renderLine({ index: 0, time: '', what: '', tone: 'calm', detail: '' })}</template>
<template id="session">${renderSession({ id: '', agent: '', owner: '', upstream: '', since: '' })}</template>`,
    ],
  })
}

function renderLine(line: LiveLine): Markup {
  return markup`<li class="${line.tone}"><time data-field="time">${line.time}</time> <span class="what" data-field="what">${line.what}</span> <span class="detail" data-field="detail">${line.detail}</span></li>`
}

function renderSession(line: SessionLine): Markup {
  return markup`<tr><td><b data-field="agent">${line.agent}</b><div class="dim small">for <span data-field="owner">${line.owner}</span></div></td>
<td><span data-field="upstream">${line.upstream}</span></td><td class="mono"><span data-field="since">${line.since}</span></td>
<td><button class="stop slight" data-post="/kill" data-content="${JSON.stringify({ kind: 'session', id: line.id })}" aria-label="Kill session ${line.id} of ${line.agent}">Kill</button></td></tr>`
}

function renderSwitches(agents: readonly string[]): Piece {
  return markup`<section class="card side"><h2>Kill switch</h2>
<p class="small">Stops what runs and lets nothing through, at once. It needs no passkey; releasing does.</p>
<div class="buttons"><button class="stop" data-post="/kill" data-content="${JSON.stringify({ kind: 'all', id: '*' })}" data-then="/live" data-ask="Stop every agent now?">■ Stop everything</button></div>
<p role="status" aria-live="polite"></p>
${
  agents.length === 0
    ? ''
    : markup`<h3>By agent</h3><ul class="rows">${agents.map(
        (agent) =>
          markup`<li><div class="state"><span>${showLine(agent)}</span><button class="stop slight" data-post="/kill" data-content="${JSON.stringify({ kind: 'agent', id: agent })}" data-then="/live" aria-label="Kill agent ${visibleLine(agent)}">Kill</button></div></li>`,
      )}</ul>`
}</section>`
}

function renderKill(kill: KillLine): Markup {
  return markup`<form class="card hero danger" data-passkey="get" data-options="/kills/${kill.id}/challenge" data-finish="/kills/${kill.id}/release">
<p class="danger"><span class="badge danger">■ stopped</span></p><h1>${showLine(kill.scope)}</h1>
<p class="dim">By ${showLine(kill.by)}, ${formatInstant(kill.atMs)}${kill.reason === '' ? '' : [': “', showLine(kill.reason), '”']}</p>
<div class="buttons"><button type="submit">Release with passkey</button></div><p role="status" aria-live="polite"></p></form>`
}
