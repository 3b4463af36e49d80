import { fence, showLine } from '../../fence.ts'
import { countdown, type Frame, renderPage } from '../../frame.ts'
import { markup, type Markup } from '../../markup.ts'
import { formatAmount, formatDuration, formatInstant } from '../../time-words.ts'
import { findLineChanges } from './line-changes.ts'

/** What the file gives beyond what is in force. */
export interface ProposalView {
  readonly digest: string
  readonly text: string
  readonly widenings: readonly string[]
  readonly proposedAtMs: number
  /** Who typed it in the console; null: it is what the file says. */
  readonly by: string | null
  readonly acceptances: readonly { readonly person: string; readonly atMs: number }[]
  /** Null: not enough people accepted it. */
  readonly notBeforeMs: number | null
}

export interface ConfigurationView {
  readonly path: string
  readonly textInForce: string
  readonly proposal: ProposalView | null
  /** How many people it takes. */
  readonly needed: number
  readonly coolOffMs: number
  /** Whoever looks at the page did. */
  readonly hasAccepted: boolean
}

export function renderConfiguration(frame: Frame, view: ConfigurationView): string {
  return renderPage(frame, {
    title: 'Configuration',
    path: '/configuration',
    width: 'normal',
    scripts: ['page.js', 'passkey.js'],
    body: markup`<h1>Configuration</h1>
<p class="dim">${showLine(view.path)} proposes; what people here accepted is in force. What it takes away holds from the gate’s next start, without anybody’s word.</p>
${view.proposal === null ? renderQuiet() : renderProposal(frame, view, view.proposal)}
<section>${fence('In force', view.textInForce)}</section>`,
  })
}

function renderQuiet(): Markup {
  return markup`<section class="card"><p>Nothing waits: the file gave no more than what is in force when it was last read.</p>
<div class="buttons"><button type="button" data-post="/configuration/reread" data-then="/configuration">Read the file again</button></div>
<p role="status" aria-live="polite"></p></section>`
}

function renderProposal(frame: Frame, view: ConfigurationView, proposal: ProposalView): Markup {
  const withdraw = markup`<button type="button" data-post="/configuration/${proposal.digest}/withdraw" data-then="/configuration">Withdraw</button>`
  return markup`<form class="card" data-passkey="get" data-options="/configuration/${proposal.digest}/options" data-finish="/configuration/${proposal.digest}/accept">
<div class="state"><h2>${proposal.by === null ? 'The file gives' : 'What was typed gives'} more than what is in force</h2><span class="badge ${proposal.notBeforeMs === null ? 'warn' : 'good'}">${stateOf(view, proposal)}</span></div>
<p class="small dim">${proposal.by === null ? markup`Read ${formatInstant(proposal.proposedAtMs)}. Whoever can write that file wrote this; an agent may have.` : markup`Proposed by <b>${showLine(proposal.by)}</b> in the console, ${formatInstant(proposal.proposedAtMs)}. The file does not say it yet.`}</p>
<ul class="plain">${proposal.widenings.map((line) => markup`<li>${showLine(line)}</li>`)}</ul>
${proposal.acceptances.map(({ person, atMs }) => markup`<p class="small">Accepted by <b>${showLine(person)}</b> ${formatInstant(atMs)}</p>`)}
<p>${explain(frame, view, proposal)}</p>
<div class="buttons">${canAccept(view, proposal) ? markup`<button class="main" type="submit">Accept with passkey</button>` : ''}${withdraw}</div>
<p role="status" aria-live="polite"></p></form>
<section>${renderChanges(view.textInForce, proposal.text)}</section>
<section>${fence(proposal.by === null ? 'The file, whole' : 'What was typed, whole', proposal.text)}</section>`
}

function canAccept({ hasAccepted }: ConfigurationView, { notBeforeMs }: ProposalView): boolean {
  return notBeforeMs === null && !hasAccepted
}

function stateOf({ needed }: ConfigurationView, { notBeforeMs, acceptances }: ProposalView): string {
  return notBeforeMs === null ? `accepted by ${acceptances.length} of ${needed}` : 'accepted'
}

function explain(frame: Frame, view: ConfigurationView, proposal: ProposalView): Markup {
  const { notBeforeMs } = proposal
  if (notBeforeMs !== null) {
    // The gate writes no configuration: whoever has the file puts in what people accepted, and nothing else is taken over.
    const first = proposal.by === null ? '' : markup`Put the text below into ${showLine(view.path)}. It `
    return notBeforeMs > frame.nowMs
      ? markup`${first || 'It '}takes hold when the gate is started after ${countdown(notBeforeMs, frame.nowMs)}. Until then anybody here can withdraw it.`
      : markup`${first || 'It '}takes hold when the gate is started again.`
  }
  if (view.needed > 1)
    return view.hasAccepted
      ? markup`Somebody else has to accept it too.`
      : markup`It takes ${formatAmount(view.needed, 'person', 'people')}: nobody here widens alone.`
  return markup`It takes your passkey${view.coolOffMs > 0 ? `, and then ${formatDuration(view.coolOffMs)} in which it can be withdrawn` : ''}.`
}

/** What changed, so that nobody has to compare two files by eye; the whole file stands below. */
function renderChanges(before: string, after: string): Markup {
  const changes = findLineChanges(before, after)
  if (changes === null) return markup`<p class="odd">Too long to compare line by line: read the whole file.</p>`
  const changed = changes.filter(({ kind }) => kind !== 'same')
  const text = changed.map(({ kind, text: line }) => `${kind === 'added' ? '+' : '-'} ${line}`).join('\n')
  return fence('What changes: + is new, - goes', text)
}
