import type { Built } from '../../built.ts'
import type { Frame } from '../../frame.ts'
import { markup } from '../../markup.ts'

/** The document that the app fills. Who looks and the token for posts are in it; everything else the app asks for. */
export function renderApp(frame: Frame, built: Built): string {
  const { nonce, csrf, nowMs, person } = frame
  return markup`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="referrer" content="no-referrer">
<title>Sallyport</title><link rel="stylesheet" nonce="${nonce}" href="/console/assets/${built.style}"></head>
<body data-csrf="${csrf}" data-now="${nowMs}" data-person="${person ?? ''}"><div id="app"></div>
<noscript><p>The console needs scripts. <a href="/requests">The pages for requests</a> read without them; a verdict needs a passkey, and so a script.</p></noscript>
<script type="module" nonce="${nonce}" src="/console/assets/${built.script}"></script>
</body></html>`.toString()
}
