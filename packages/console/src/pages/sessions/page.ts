import type { Session, SessionBrief } from '@sallyport/core'
import { showLine } from '../../fence.ts'
import { type Frame, renderPage } from '../../frame.ts'
import { markup, type Markup, type Piece } from '../../markup.ts'
import { formatAmount, formatDuration, formatInstant } from '../../time-words.ts'

export interface SessionsView {
  readonly sessions: readonly SessionBrief[]
  /** Entries before this one were not looked through. */
  readonly sinceIndex: number
  readonly agent: string | null
  /** What runs at the other gates that share the store: its story is on their logs. */
  readonly elsewhere?: readonly (Session & { readonly gate: string })[]
}

/** Sessions on one page. */
const listed = 200

/** Every run of every agent that the log still tells quickly of, newest first. */
export function renderSessions(frame: Frame, { sessions, sinceIndex, agent, elsewhere = [] }: SessionsView): string {
  const shown = sessions.slice(0, listed)
  const rest = sessions.length - shown.length
  return renderPage(frame, {
    title: 'Sessions',
    path: '/sessions',
    width: 'normal',
    scripts: ['page.js'],
    body: markup`<h1>Sessions</h1><p class="dim">${agent === null ? 'What each run of each agent did, from the log.' : markup`What ${showLine(agent)} did, from the log. <a href="/sessions">All agents</a>`}</p>
<section class="card">${
      shown.length === 0
        ? markup`<p class="dim">No session yet. When an agent connects, its story begins here.</p>`
        : markup`<ul class="rows">${shown.map((brief) => renderRow(brief, frame.nowMs))}</ul>`
    }${rest > 0 ? markup`<p class="dim small">${formatAmount(rest, 'older session')} not listed here: <code>sallyport log sessions</code> lists all.</p>` : ''}${
      sinceIndex > 0
        ? markup`<p class="dim small">Entries of the log before ${sinceIndex} were not looked through: <code>sallyport log sessions</code> reads them all.</p>`
        : ''
    }</section>${renderElsewhere(elsewhere, frame.nowMs)}<p role="status" aria-live="polite"></p>`,
  })
}

function renderElsewhere(sessions: readonly (Session & { readonly gate: string })[], nowMs: number): Piece {
  if (sessions.length === 0) return ''
  const rows = sessions
    .slice(0, listed)
    .map(
      ({ subject, upstream, protocol, openedAtMs, gate }) =>
        markup`<li><b>${showLine(subject.agent)} on ${showLine(upstream)}</b><div class="dim small">for ${showLine(subject.owner)} by ${protocol} · ${formatDuration(nowMs - openedAtMs)} ago · at gate <code class="mono">${showLine(gate)}</code></div></li>`,
    )
  return markup`<section class="card"><h2>At other gates now</h2><p class="dim small">Their stories are on the logs of those gates. The kill switch here stops them too.</p><ul class="rows">${rows}</ul></section>`
}

function renderRow(brief: SessionBrief, nowMs: number): Markup {
  const { id, agent, owner, upstream, protocol, openedAtMs, closedAtMs, reads, ran, refused, asked, troubles } = brief
  const did = [
    formatAmount(reads, 'read'),
    `${formatAmount(ran, 'operation')} sent`,
    ...(refused > 0 ? [`${refused} refused`] : []),
    ...(asked > 0 ? [`${asked} asked for`] : []),
  ]
  return markup`<li><a class="row" href="/sessions/${id}"><h2>${showLine(agent)} on ${showLine(upstream)} ${
    troubles > 0 ? markup`<span class="badge warn">⚠ ${formatAmount(troubles, 'trouble')}</span>` : ''
  }${closedAtMs === null ? markup` <span class="badge good">● not closed</span>` : ''}</h2>
<div class="dim small">${did.join(' · ')}</div><div class="dim small">for ${showLine(owner)} by ${protocol} · <span title="${formatInstant(openedAtMs)}">${formatDuration(nowMs - openedAtMs)} ago</span>${
    closedAtMs === null ? '' : ` · for ${formatDuration(closedAtMs - openedAtMs)}`
  } · <code class="mono">${id.slice(0, 12)}</code></div></a></li>`
}
