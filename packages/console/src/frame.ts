import { markup, type Markup, ownSource, type Piece } from './markup.ts'
import { style } from './style.ts'
import { formatDuration, formatInstant } from './time-words.ts'

/** What holds here, said on every page (DESIGN §6). */
export interface Posture {
  readonly mode: 'solo' | 'team'
  readonly isolationLevel: 0 | 1 | 2 | 3
  /** Sentences such as "this agent can walk around Sallyport", and how to mend it. */
  readonly warnings: readonly string[]
}

/** What every page needs besides its own matter. */
export interface Frame {
  /** Of the page's Content-Security-Policy, fresh for each answer. */
  readonly nonce: string
  /** To be sent back with every POST. */
  readonly csrf: string
  /** Null: nobody is signed in. */
  readonly person: string | null
  readonly nowMs: number
  /** Requests that wait for people. */
  readonly waiting: number
  /** The configuration file gives more than what is in force. */
  readonly isProposed: boolean
  readonly posture: Posture
}

export interface Page {
  readonly title: string
  readonly path: '/live' | '/sessions' | '/requests' | '/vault' | '/people' | '/configuration' | null
  readonly width: 'narrow' | 'normal' | 'wide'
  readonly body: Piece
  /** Scripts of our own, by name of the asset. */
  readonly scripts: readonly string[]
  /** Ask `address` every few seconds; when its answer is no longer `version`, the page is out of date. */
  readonly refresh?: { readonly address: string; readonly version: string }
}

/** A whole document. The only place that writes head, style and script elements. */
export function renderPage(frame: Frame, page: Page): string {
  const refresh = page.refresh
  const document = markup`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="referrer" content="no-referrer">
<title>${page.title} · Sallyport</title><style nonce="${frame.nonce}">${ownSource(style)}</style><script nonce="${frame.nonce}" src="/assets/theme.js"></script></head>
<body data-csrf="${frame.csrf}" data-now="${frame.nowMs}"${
    refresh ? markup` data-refresh="${refresh.address}" data-version="${refresh.version}"` : ''
  }>${renderTop(frame, page.path)}${renderWarnings(frame)}
<main class="${page.width}">${page.body}</main>
${page.scripts.map((name) => markup`<script type="module" nonce="${frame.nonce}" src="/assets/${name}"></script>`)}
</body></html>`
  return document.toString()
}

function renderWarnings({ person, posture }: Frame): Piece {
  if (person === null || posture.warnings.length === 0) return ''
  return markup`<aside aria-label="Warnings">${posture.warnings.map((warning) => markup`<p class="note" role="note"><b aria-hidden="true">⚠</b> ${warning}</p>`)}</aside>`
}

function renderTop(frame: Frame, path: Page['path']): Markup {
  const link = (to: string, name: Piece): Markup =>
    markup`<a href="${to}"${to === path ? markup` aria-current="page"` : ''}>${name}</a>`
  const waiting =
    frame.waiting > 0 ? markup` <span class="pill" aria-label="${frame.waiting} waiting">${frame.waiting}</span>` : ''
  const proposed = frame.isProposed ? markup` <span class="pill" aria-label="waits for people">1</span>` : ''
  if (frame.person === null) return markup`<header class="top"><a class="mark" href="/">⊓ Sallyport</a></header>`
  return markup`<header class="top"><a class="mark" href="/">⊓ Sallyport</a>
${link('/console/now', 'Console')}${link('/requests', ['Requests', waiting])}${link('/live', 'Live')}${link('/sessions', 'Sessions')}${link('/vault', 'Copies')}${link('/people', 'People')}${link('/configuration', ['Configuration', proposed])}
<span class="who"><span>${frame.person}</span><button class="slight" data-post="/sign-out" data-then="/sign-in">Sign out</button></span></header>`
}

/** One line on what four eyes are worth here. */
export function postureLine(posture: Posture): string {
  const eyes = posture.mode === 'team' ? 'team mode: nobody approves their own agent’s request' : 'solo mode: four-eyes is off'
  return `Isolation level ${posture.isolationLevel} · ${eyes}`
}

/** A moment that the browser keeps counting down to. */
export function countdown(untilMs: number, nowMs: number): Markup {
  return markup`<time data-until="${untilMs}" datetime="${new Date(untilMs).toISOString()}" title="${formatInstant(untilMs)}">${formatDuration(untilMs - nowMs)}</time>`
}
