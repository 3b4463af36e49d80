import { type Frame, renderPage } from '../../frame.ts'
import { markup } from '../../markup.ts'

export interface CodeAppView {
  /** In groups of four, as a person types it. */
  readonly key: string
  readonly uri: string
}

/** The secret of an app of one-time codes, this once. */
export function renderCodeApp(frame: Frame, { key, uri }: CodeAppView): string {
  return renderPage(frame, {
    title: 'Your app of one-time codes',
    path: '/people',
    width: 'normal',
    scripts: ['page.js'],
    body: markup`<h1>Your app of one-time codes</h1>
<section class="card"><h2>The key, this once</h2><p>Type it into the app (time-based, 6 digits, every 30 seconds), on another device than the one with your passkey. Nobody can show it again: if you lose it, begin anew.</p>
<pre>${key}</pre>
<details><summary>As a link, for an app on this device</summary><pre>${uri}</pre></details></section>
<form class="card" data-send="/people/me/code"><h2>The code that it shows now</h2>
<label for="code">Six digits</label>
<input id="code" name="code" required inputmode="numeric" autocomplete="one-time-code" pattern="[0-9 ]{6,8}" maxlength="8" autofocus>
<div class="buttons"><button class="main" type="submit">Add the app</button></div><p role="status" aria-live="polite"></p></form>`,
  })
}
