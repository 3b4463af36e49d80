// What every page does: posts with the CSRF token, counts down, notices that it is out of date. Text only, never markup.
const body = document.body
// On a phone the pages' names are wider than it.
document.querySelector('.top [aria-current]')?.scrollIntoView({ inline: 'center', block: 'nearest' })
const skewMs = Date.now() - Number(body.dataset.now)

/** Posts JSON; throws an Error with a sentence for people. */
export async function post(address, content) {
  const answer = await fetch(address, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-csrf-token': body.dataset.csrf },
    body: JSON.stringify(content),
    redirect: 'error',
  })
  const said = await answer.json().catch(() => ({}))
  if (answer.ok) return said
  const { message, notDone, next } = said.error ?? { message: `The gate answered ${answer.status}.` }
  throw new Error([message, notDone, next].filter(Boolean).join(' '))
}

/** Says how it went, in the form's own status line or the page's. */
export function say(near, text, bad) {
  const line = near.querySelector('[role=status]') ?? document.querySelector('[role=status]')
  if (!line) return
  line.textContent = text
  line.classList.toggle('bad', Boolean(bad))
}

export function follow(said) {
  if (said.go) location.assign(said.go)
}

document.addEventListener('click', async (event) => {
  const button = event.target.closest?.('button[data-post]')
  if (!button) return
  if (button.dataset.ask && !confirm(button.dataset.ask)) return
  button.disabled = true
  const near = button.closest('section,form,header') ?? body
  try {
    const said = await post(button.dataset.post, JSON.parse(button.dataset.content ?? '{}'))
    if (said.message) say(near, said.message)
    if (button.dataset.then) location.assign(button.dataset.then)
  } catch (error) {
    say(near, error.message, true)
  }
  button.disabled = false
})

document.addEventListener('submit', async (event) => {
  const form = event.target
  if (!form.dataset.send) return
  event.preventDefault()
  const entered = Object.fromEntries(new FormData(form))
  for (const button of form.querySelectorAll('button')) button.disabled = true
  try {
    const said = await post(form.dataset.send, entered)
    say(form, said.message ?? '')
    follow(said)
  } catch (error) {
    say(form, error.message, true)
  }
  for (const button of form.querySelectorAll('button')) button.disabled = false
})

function words(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000))
  const two = (large, unit, small, smaller) => (small ? `${large} ${unit} ${small} ${smaller}` : `${large} ${unit}`)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return two(Math.floor(seconds / 60), 'min', seconds % 60, 's')
  if (seconds < 86400) return two(Math.floor(seconds / 3600), 'h', Math.floor((seconds % 3600) / 60), 'min')
  return two(Math.floor(seconds / 86400), 'd', Math.floor((seconds % 86400) / 3600), 'h')
}

setInterval(() => {
  for (const time of document.querySelectorAll('time[data-until]')) {
    time.textContent = words(Number(time.dataset.until) - (Date.now() - skewMs))
  }
}, 1000)

async function refresh() {
  if (document.hidden) return
  const answer = await fetch(body.dataset.refresh, { redirect: 'error' }).catch(() => null)
  if (!answer?.ok || (await answer.text()) === body.dataset.version) return
  const typed = [...document.querySelectorAll('textarea')].some((field) => field.value !== '')
  if (typed || document.querySelector('form[aria-busy=true]')) say(body, 'This page is out of date. Reload it.', true)
  else location.reload()
}

if (body.dataset.refresh) setInterval(refresh, 3000)
