// Operations as they happen. One tab of a browser holds the stream and tells the others, so that many tabs don't use up its connections.
const rowsMax = 300
const feed = document.querySelector('#feed')
const sessions = document.querySelector('#sessions')
const state = document.querySelector('#stream')
const channel = new BroadcastChannel('sallyport-live')
let last = Number(feed.dataset.last)

function fill(template, line) {
  const row = template.content.firstElementChild.cloneNode(true)
  for (const slot of row.querySelectorAll('[data-field]')) slot.textContent = line[slot.dataset.field] ?? ''
  return row
}

function showLines({ lines, skipped }) {
  const fresh = lines.filter((line) => line.index > last)
  if (fresh.length > 0) last = fresh[fresh.length - 1].index
  for (const line of fresh) {
    const row = fill(document.querySelector('#line'), line)
    row.className = line.tone
    feed.prepend(row)
  }
  while (feed.children.length > rowsMax) feed.lastElementChild.remove()
  document.querySelector('#quiet').hidden = feed.children.length > 0
  if (skipped > 0) state.textContent = `Too fast to show: ${skipped} events are only on the log.`
}

function showSessions(list) {
  const rows = list.map((line) => {
    const row = fill(document.querySelector('#session'), line)
    const button = row.querySelector('button')
    button.dataset.content = JSON.stringify({ kind: 'session', id: line.id })
    button.setAttribute('aria-label', `Kill session ${line.id} of ${line.agent}`)
    return row
  })
  sessions.replaceChildren(...rows)
  document.querySelector('#idle').hidden = list.length > 0
}

function show({ kind, data }) {
  if (kind === 'lines') showLines(data)
  else if (kind === 'sessions') showSessions(data)
  else state.textContent = data
}

function open() {
  const source = new EventSource(`/live/stream?after=${last}`)
  const tell = (kind) => (event) => {
    const message = { kind, data: JSON.parse(event.data) }
    show(message)
    channel.postMessage(message)
  }
  source.addEventListener('lines', tell('lines'))
  source.addEventListener('sessions', tell('sessions'))
  source.onopen = () => show({ kind: 'state', data: 'Live' })
  source.onerror = () =>
    show({ kind: 'state', data: source.readyState === EventSource.CLOSED ? 'Ended. Sign in again.' : 'Reconnecting…' })
}

channel.onmessage = (event) => {
  state.textContent = 'Live'
  show(event.data)
}
void navigator.locks.request('sallyport-live', () => {
  open()
  return new Promise(() => {})
})
