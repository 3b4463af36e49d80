import { sha256Hex } from '@sallyport/core'
import { showLine } from '../../fence.ts'
import { type Frame, renderPage } from '../../frame.ts'
import { markup, type Markup } from '../../markup.ts'
import { formatInstant } from '../../time-words.ts'

export interface PasskeysView {
  readonly passkeys: readonly {
    readonly credentialId: string
    readonly name: string
    readonly synced: boolean
    readonly addedAtMs: number
  }[]
  /** One of them was just used to ask for another. */
  readonly mayAdd: boolean
  /** What one-time codes approve here. Null: nothing. */
  readonly codes: { readonly approves: readonly string[] } | null
  readonly codeApp: { readonly addedAtMs: number; readonly isLocked: boolean } | null
}

type Passkey = PasskeysView['passkeys'][number]

export function renderPasskeys(frame: Frame, view: PasskeysView): string {
  return renderPage(frame, {
    title: 'Your passkeys',
    path: '/people',
    width: 'normal',
    scripts: ['page.js', 'passkey.js'],
    body: markup`<h1>Your passkeys</h1>
<p class="dim">Each of them approves in your name. Have two on different devices: who loses the last one cannot approve any more, and nobody can give it back.</p>
${view.passkeys.map((passkey) => renderPasskey(passkey, view.passkeys.length > 1))}
${view.mayAdd ? renderNew() : renderUnlock()}
${renderCodes(view)}`,
  })
}

function renderPasskey(passkey: Passkey, isRemovable: boolean): Markup {
  const { credentialId, name, synced, addedAtMs } = passkey
  const path = `/people/me/passkeys/${sha256Hex(credentialId)}/remove`
  return markup`<form class="card" data-passkey="get" data-options="${path}/options" data-finish="${path}">
<div class="state"><span><b>${name === '' ? 'From your enrolment' : showLine(name)}</b> <code>${credentialId.slice(0, 12)}</code></span>
<span class="badge">${synced ? 'synced between devices' : 'on one device'}</span></div>
<p class="dim small">Added ${formatInstant(addedAtMs)}</p>
${isRemovable ? markup`<div class="buttons"><button class="slight" type="submit">Remove with passkey</button></div><p role="status" aria-live="polite"></p>` : ''}</form>`
}

function renderUnlock(): Markup {
  return markup`<form class="card" data-passkey="get" data-options="/people/me/unlock/options" data-finish="/people/me/unlock">
<h2>Add another</h2><p>First one that you have, then the new one.</p>
<div class="buttons"><button class="main" type="submit">Use a passkey that I have</button></div><p role="status" aria-live="polite"></p></form>`
}

function renderNew(): Markup {
  return markup`<form class="card" data-passkey="create" data-options="/people/me/passkeys/options" data-finish="/people/me/passkeys">
<h2>The new passkey</h2>
<label for="name">What you call it</label>
<input id="name" name="name" required maxlength="64" autocomplete="off" autofocus placeholder="the key on my keyring">
<div class="buttons"><button class="main" type="submit">Create passkey</button></div><p role="status" aria-live="polite"></p></form>`
}

/** The weaker way: nothing of it where policy does not say so, but for taking away what is left of it. */
function renderCodes({ codes, codeApp }: PasskeysView): Markup | string {
  if (codeApp !== null)
    return markup`<form class="card" data-passkey="get" data-options="/people/me/code/remove/options" data-finish="/people/me/code/remove">
<h2>Your app of one-time codes</h2><p class="dim small">Added ${formatInstant(codeApp.addedAtMs)}</p>
${codeApp.isLocked ? markup`<p class="odd"><b aria-hidden="true">⚠</b> Too many codes in a row were wrong: none counts any more. Your passkeys do. Remove the app and set it up anew.</p>` : ''}
${codes === null ? markup`<p>No code approves anything here any more.</p>` : ''}
<div class="buttons"><button class="slight" type="submit">Remove with passkey</button></div><p role="status" aria-live="polite"></p></form>`
  if (codes === null) return ''
  return markup`<form class="card" data-passkey="get" data-options="/people/me/code/unlock/options" data-finish="/people/me/code/unlock">
<h2>One-time codes</h2><p>For when your passkey is not at hand: an app’s code (TOTP) may approve what is ${codes.approves.join(' or ')} here. It is weaker: it signs nothing, and the log says so of each verdict.</p>
<div class="buttons"><button type="submit">Set up an app with passkey</button></div><p role="status" aria-live="polite"></p></form>`
}
