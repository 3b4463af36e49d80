import { cutSentence, leftOutSentence, type SessionStory, stepWords, type StoryStep, totalsSentence } from '@sallyport/core'
import { fence, showLine } from '../../fence.ts'
import { type Frame, renderPage } from '../../frame.ts'
import { markup, type Markup } from '../../markup.ts'
import { formatInstant } from '../../time-words.ts'

/** Steps on one page; the rest is counted, and is in the JSON and on the command line. */
const shownMax = 400

/** One session from beginning to end: what was asked, who approved it, what came of it. */
export function renderSession(frame: Frame, story: SessionStory): string {
  const { id, agent, owner, upstream, protocol, peer, openedAtMs, closedAtMs, closedWhy, steps } = story
  const shown = steps.slice(0, shownMax)
  return renderPage(frame, {
    title: `Session of ${agent}`,
    path: '/sessions',
    width: 'normal',
    scripts: ['page.js'],
    body: markup`<h1>${showLine(agent)} on ${showLine(upstream)}</h1>
<section class="card"><dl>
<dt>Session</dt><dd><code>${id}</code></dd>
<dt>For</dt><dd>${showLine(owner)}, by ${protocol} from ${showLine(peer)}</dd>
<dt>Opened</dt><dd>${openedAtMs === null ? 'not on this part of the log' : formatInstant(openedAtMs)}</dd>
<dt>Closed</dt><dd>${closedAtMs === null ? 'it is open, or its gate was stopped at once' : markup`${formatInstant(closedAtMs)}: ${showLine(closedWhy ?? '')}`}</dd>
<dt>Did</dt><dd>${totalsSentence(story)}</dd></dl></section>
<section class="card"><ol class="rows">${shown.map((step, place) => markup`${renderStep(step)}${renderGap(story, step, shown[place + 1])}`)}</ol>
${steps.length > shown.length ? markup`<p class="odd">${steps.length - shown.length} later steps are not on this page: <code>sallyport log session ${id}</code> has them.</p>` : ''}</section>
<p class="dim small">How many rows a read gave is not on the log. Texts hold no secret that Sallyport knows of, and no value of a column marked <code>redact</code>.</p>
<p role="status" aria-live="polite"></p>`,
  })
}

/** Where steps are left out, it is said between those that stand before and behind. */
function renderGap(story: SessionStory, step: StoryStep, next: StoryStep | undefined): Markup | '' {
  const { leftOut } = story
  if (leftOut === null || step.index >= leftOut.fromIndex || (next?.index ?? Infinity) <= leftOut.toIndex) return ''
  return markup`<li><p class="odd">${leftOutSentence(story) ?? ''}</p></li>`
}

function renderStep(step: StoryStep): Markup {
  const { sign, word, tone, sentence } = stepWords(step)
  const cut = step.text === null ? null : cutSentence(step.text)
  return markup`<li><div class="state"><span><span class="badge ${tone}"><span aria-hidden="true">${sign}</span> ${word}</span> ${showLine(sentence)}</span>
<span class="dim small"><time datetime="${new Date(step.atMs).toISOString()}">${formatInstant(step.atMs)}</time> · entry ${step.index}</span></div>
${step.text === null ? '' : fence('What the agent sent', step.text.text)}${cut === null ? '' : markup`<p class="odd">Cut: ${cut}.</p>`}</li>`
}
