import type { SessionBrief } from '@sallyport/core'
import { showLine } from '../../fence.ts'
import { type Frame, renderPage } from '../../frame.ts'
import { markup, type Markup } from '../../markup.ts'
import { formatAmount, formatDuration, formatInstant } from '../../time-words.ts'

export interface SessionsView {
  readonly sessions: readonly SessionBrief[]
  /** Entries before this one were not looked through. */
  readonly sinceIndex: number
  readonly agent: string | null
}

/** Sessions on one page. */
const listed = 200

/** Every run of every agent that the log still tells quickly of, newest first. */
export function renderSessions(frame: Frame, { sessions, sinceIndex, agent }: SessionsView): string {
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
    }</section><p role="status" aria-live="polite"></p>`,
  })
}

function renderRow(brief: SessionBrief, nowMs: number): Markup {
  const { id, agent, owner, upstream, protocol, openedAtMs, closedAtMs, reads, ran, refused, asked, troubles } = brief
  const did = [
    formatAmount(reads, 'read'),
    `${formatAmount(ran, 'operation')} sent`,
    ...(refused > 0 ? [`${refused} refused`] : []),
    ...(asked > 0 ? [`${asked} asked for`] : []),
  ]
  return markup`<li><a class="row" href="/sessions/${id}"><h3>${showLine(agent)} on ${showLine(upstream)} ${
    troubles > 0 ? markup`<span class="badge warn">⚠ ${formatAmount(troubles, 'trouble')}</span>` : ''
  }${closedAtMs === null ? markup` <span class="badge good">● not closed</span>` : ''}</h3>
<div class="dim small">${did.join(' · ')}</div><div class="dim small">for ${showLine(owner)} by ${protocol} · <span title="${formatInstant(openedAtMs)}">${formatDuration(nowMs - openedAtMs)} ago</span>${
    closedAtMs === null ? '' : ` · for ${formatDuration(closedAtMs - openedAtMs)}`
  } · <code class="mono">${id.slice(0, 12)}</code></div></a></li>`
}
