import { type Frame, renderPage } from '../../frame.ts'
import { markup } from '../../markup.ts'

/** Where a journey that began at the identity provider ends: from here on the browser moves among our own pages, and takes our cookies along. */
export function renderArrived(frame: Frame, about: { readonly go: string; readonly isConnected: boolean }): string {
  return renderPage(frame, {
    title: 'Signed in',
    path: null,
    width: 'narrow',
    scripts: ['arrived.js'],
    body: markup`<section class="card"><h1>${about.isConnected ? 'You are signed in' : 'One step more'}</h1>
<p><a id="onward" href="${about.go}">${about.isConnected ? 'Go on' : 'Connect this account with your passkey'}</a></p></section>`,
  })
}
