import { type Frame, postureLine, renderPage } from '../../frame.ts'
import { markup } from '../../markup.ts'

/** Enrolment by a one-time link. The page is the same for every link; the token stays behind the # until it is used. */
export function renderEnrol(frame: Frame): string {
  return renderPage(frame, {
    title: 'Enrol',
    path: null,
    width: 'narrow',
    scripts: ['page.js', 'passkey.js'],
    body: markup`<form class="card" data-passkey="create" data-options="/enrol/options" data-finish="/enrol">
<h1>Enrol a passkey</h1>
<p class="dim">With it you approve or reject what agents ask. It stays on your device; the gate keeps only its public half.</p>
<input type="hidden" name="token">
<label for="name">Your name</label>
<input id="name" name="name" required maxlength="64" autocomplete="name" autofocus>
<p class="dim small">People and the log will know you by it. It cannot be changed later.</p>
<div class="buttons"><button class="main" type="submit">Create passkey</button></div>
<p role="status" aria-live="polite"></p>
</form><p class="dim small">${postureLine(frame.posture)}</p>`,
  })
}
