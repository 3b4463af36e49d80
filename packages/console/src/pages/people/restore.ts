import { type Frame, renderPage } from '../../frame.ts'
import { markup } from '../../markup.ts'

/** For whoever was removed, and cannot sign in. */
export function renderRestore(frame: Frame): string {
  return renderPage(frame, {
    title: 'Take back a removal',
    path: null,
    width: 'narrow',
    scripts: ['page.js', 'passkey.js'],
    body: markup`<form class="card" data-passkey="get" data-options="/restore/options" data-finish="/restore">
<h1>Take back a removal</h1>
<p>Somebody was removed who should not have been? Your passkey puts them back, with theirs. If you were removed yourself, you can put back another, and they you.</p>
<p class="dim">Within 24 hours, or in a team as long as no second person has confirmed the removal. It is on the log, and rings.</p>
<label for="name">Who was removed</label><input id="name" name="name" maxlength="64" required autocomplete="off">
<div class="buttons"><button class="main" type="submit">Put them back with my passkey</button></div>
<p role="status" aria-live="polite"></p></form>`,
  })
}
