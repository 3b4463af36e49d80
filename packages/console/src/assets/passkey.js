// One driver for everything that needs a passkey: ask for the challenge, sign it, hand the signature over.
import { follow, post, say } from './page.js'

const toBytes = (text) =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0))
const toText = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '')
const toHex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
const withBytes = (list) => (list ?? []).map((item) => ({ ...item, id: toBytes(item.id) }))

async function create(options) {
  const publicKey = {
    ...options,
    challenge: toBytes(options.challenge),
    user: { ...options.user, id: toBytes(options.user.id) },
    excludeCredentials: withBytes(options.excludeCredentials),
  }
  const made = await navigator.credentials.create({ publicKey })
  const { clientDataJSON, attestationObject } = made.response
  const response = {
    clientDataJSON: toText(clientDataJSON),
    attestationObject: toText(attestationObject),
    transports: made.response.getTransports?.() ?? [],
  }
  return { id: made.id, rawId: toText(made.rawId), type: made.type, response }
}

async function get(options) {
  const publicKey = { ...options, challenge: toBytes(options.challenge), allowCredentials: withBytes(options.allowCredentials) }
  const made = await navigator.credentials.get({ publicKey })
  const { clientDataJSON, authenticatorData, signature, userHandle } = made.response
  const response = {
    clientDataJSON: toText(clientDataJSON),
    authenticatorData: toText(authenticatorData),
    signature: toText(signature),
  }
  if (userHandle) response.userHandle = toText(userHandle)
  return { id: made.id, rawId: toText(made.rawId), type: made.type, response }
}

// "Yes, but": the gate and this page make the challenge of the page's own and of what was entered here, each by itself.
function readConditions(form, verdict) {
  const read = (name) => form.querySelector(`[data-condition=${name}]`)?.value ?? ''
  const [rows, time] = [read('rowsMax'), read('notBeforeMs')]
  if (verdict !== 'approve' || (rows === '' && time === '')) return null
  return { notBeforeMs: time === '' ? null : new Date(time).getTime(), rowsMax: rows === '' ? null : Number(rows) }
}

async function bind(base, conditions) {
  const text = JSON.stringify({ base, conditions, purpose: 'sallyport verdict under conditions', v: 1 })
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))))
}

async function run(form, submitter) {
  const entered = Object.fromEntries(new FormData(form, submitter))
  const shown = submitter?.dataset.challenge
  const conditions = readConditions(form, entered.verdict)
  const glass = submitter?.dataset.glass !== undefined
  const fields = { ...entered, ...(conditions && !glass ? { conditions } : {}), ...(glass ? { breakGlass: true } : {}) }
  say(form, 'Waiting for your passkey…')
  const { publicKey } = await post(form.dataset.options, { ...fields, ...(shown ? { shown } : {}) })
  // The page's own challenge belongs to what the page shows; another one must not be signed in its place.
  if (shown && toHex(toBytes(publicKey.challenge)) !== (fields.conditions ? await bind(shown, conditions) : shown))
    throw new Error('What is asked is no longer what this page shows. Nothing was signed. Reload the page.')
  const response = form.dataset.passkey === 'create' ? await create(publicKey) : await get(publicKey)
  const said = await post(form.dataset.finish, { ...fields, response })
  say(form, said.message ?? '')
  const result = form.querySelector('output')
  if (result && said.result) result.textContent = said.result
  follow(said)
}

function explain(error) {
  if (error.name === 'NotAllowedError') return 'The passkey was not used: cancelled, timed out, or none fits. Nothing was done.'
  if (error.name === 'InvalidStateError') return 'This device is enrolled already. Nothing was done.'
  return error.message
}

for (const form of document.querySelectorAll('form[data-passkey]')) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    if (form.getAttribute('aria-busy') === 'true') return
    form.setAttribute('aria-busy', 'true')
    const buttons = form.querySelectorAll('button')
    // Read before disabling: a disabled submitter would not be in the form's data.
    const running = run(form, event.submitter)
    for (const button of buttons) button.disabled = true
    await running.catch((error) => say(form, explain(error), true))
    for (const button of buttons) button.disabled = false
    form.removeAttribute('aria-busy')
  })
}

// The one-time link carries its token behind the #, which no server and no log ever sees; it leaves the address bar at once.
const token = document.querySelector('input[name=token]')
if (token && location.hash.length > 1) {
  token.value = location.hash.slice(1)
  history.replaceState(null, '', location.pathname)
}
