import { type Frame, renderPage } from '../../frame.ts'
import { markup } from '../../markup.ts'

export function renderSignIn(frame: Frame, about: { readonly anyoneEnrolled: boolean; readonly next: string }): string {
  const body = about.anyoneEnrolled
    ? markup`<form class="card" data-passkey="get" data-options="/sign-in/options" data-finish="/sign-in">
<h1>Sign in</h1>
<p class="dim">Signing in lets you look, cancel and kill. Each approval asks for your passkey again.</p>
<input type="hidden" name="next" value="${about.next}">
<div class="buttons"><button class="main" type="submit" autofocus>Sign in with a passkey</button></div>
<p role="status" aria-live="polite"></p></form>`
    : markup`<section class="card"><h1>Nobody is enrolled yet</h1>
<p>The terminal in which the gate was started shows a one-time link. Open it in this browser to enrol the first person.</p>
<p class="dim">The link went by, or ran out? Restart the gate, or ask for another one on its terminal.</p></section>`
  return renderPage(frame, { title: 'Sign in', path: null, width: 'narrow', scripts: ['page.js', 'passkey.js'], body })
}
