import { type Frame, renderPage } from '../../frame.ts'
import { markup, type Piece } from '../../markup.ts'

export interface SignInView {
  readonly anyoneEnrolled: boolean
  readonly next: string
  /** The team's identity provider; null: there is none. */
  readonly provider: string | null
  /** An account that this browser has shown, and that the passkey will connect. */
  readonly connects: {
    readonly id: string
    readonly issuer: string
    readonly subject: string
    readonly name: string | null
  } | null
}

export function renderSignIn(frame: Frame, about: SignInView): string {
  const body = about.anyoneEnrolled
    ? markup`<form class="card" data-passkey="get" data-options="/sign-in/options" data-finish="/sign-in">
<h1>${about.connects === null ? 'Sign in' : 'Connect your account'}</h1>
${renderConnection(about.connects)}<input type="hidden" name="next" value="${about.next}">
<div class="buttons"><button class="main" type="submit" autofocus>${about.connects === null ? 'Sign in with a passkey' : 'Connect with my passkey'}</button>${renderProvider(about)}</div>
<p role="status" aria-live="polite"></p></form>`
    : markup`<section class="card"><h1>Nobody is enrolled yet</h1>
<p>The terminal in which the gate was started shows a one-time link. Open it in this browser to enrol the first person.</p>
<p class="dim">The link went by, or ran out? Restart the gate, or ask for another one on its terminal.</p></section>`
  return renderPage(frame, { title: 'Sign in', path: null, width: 'narrow', scripts: ['page.js', 'passkey.js'], body })
}

function renderConnection(connects: SignInView['connects']): Piece {
  if (connects === null)
    return markup`<p class="dim">Signing in lets you look, cancel and kill. Each approval asks for your passkey again.</p>`
  return markup`<p>The account <b>${connects.subject}</b>${connects.name === null ? '' : markup` (${connects.name})`} of <b>${connects.issuer}</b> will be yours here, from now on. Is it?</p>
<p class="dim">It will show you pages. Each approval asks for your passkey as before.</p>
<input type="hidden" name="connects" value="${connects.id}">`
}

function renderProvider({ provider, connects, next }: SignInView): Piece {
  if (provider === null || connects !== null) return ''
  return markup` <a href="/sign-in/account?next=${encodeURIComponent(next)}">Sign in at ${new URL(provider).host}, to look</a>`
}
