import type { VaultTarget, VaultTargets } from '@sallyport/core'
import { showLine } from '../../fence.ts'
import { type Frame, renderPage } from '../../frame.ts'
import { markup, type Markup } from '../../markup.ts'
import { formatAmount, formatBytes, formatDuration, formatInstant } from '../../time-words.ts'

/** What is protected: what would be lost right now, how long having it back took, until when it is kept, and what that costs. */
export function renderVault(frame: Frame, view: VaultTargets): string {
  return renderPage(frame, {
    title: 'Copies',
    path: '/vault',
    width: 'normal',
    scripts: ['page.js'],
    body: markup`<h1>Copies</h1>
${view.problem === null ? '' : markup`<p class="odd" role="note">The vault can neither seal nor read now: ${showLine(view.problem)}</p>`}
${view.targets.length === 0 && view.problem === null ? markup`<p class="dim">Nothing is kept yet: put a PostgreSQL upstream, or something under <code>keep:</code>, into sallyport.yaml.</p>` : ''}
${view.targets.map((target) => renderTarget(target, view.atMs))}
${renderStorage(view)}${renderHolds(view)}`,
  })
}

function renderTarget(target: VaultTarget, nowMs: number): Markup {
  const { name, kind, newestCopy, restoreTookMs, lastDrill, copies, held } = target
  return markup`<section class="card"><div class="state"><h2>${showLine(name)} <span class="dim">${kind}</span></h2>${renderBadge(target)}</div>
<dl><dt>Would be lost now</dt><dd>${loss(target)}</dd>
<dt>Having it back took</dt><dd>${restoreTookMs === null ? 'never tried with success' : formatDuration(restoreTookMs)}</dd>
<dt>Newest proven copy</dt><dd>${newestCopy === null ? 'none' : markup`${formatInstant(newestCopy.madeAtMs)} <code>${newestCopy.snapshot.slice(0, 16)}</code>`}</dd>
${newestCopy === null ? '' : markup`<dt>Kept until</dt><dd>${formatInstant(newestCopy.retainUntilMs)}, ${formatDuration(Math.max(0, newestCopy.retainUntilMs - nowMs))} from now</dd>`}
<dt>Last drill</dt><dd>${lastDrill === null ? 'none' : markup`${lastDrill.passed ? 'passed' : 'failed'} ${formatInstant(lastDrill.atMs)}: ${showLine(lastDrill.why)}`}</dd>
${renderStream(target)}
<dt>Sealed</dt><dd>${formatAmount(copies, 'snapshot')}${held > 0 ? `, ${held} held` : ''}</dd></dl></section>`
}

function renderBadge({ by, drilled, wouldLoseMs }: VaultTarget): Markup {
  if (by === null || wouldLoseMs === null) return markup`<span class="badge danger">no proven copy</span>`
  if (!drilled) return markup`<span class="badge danger">drill overdue: nothing may be destroyed</span>`
  return by === 'stream'
    ? markup`<span class="badge good">any second can be restored</span>`
    : markup`<span class="badge">restored to its last copy</span>`
}

function loss({ wouldLoseMs, by }: VaultTarget): string {
  if (wouldLoseMs === null || by === null) return 'all of it'
  if (wouldLoseMs === 0) return 'nothing that was committed'
  return `the last ${formatDuration(wouldLoseMs)}`
}

function renderStream({ stream }: VaultTarget): Markup | '' {
  if (stream === null) return ''
  const { state, why, behindBytes, durableAtMs, provenAtMs } = stream
  const behind = behindBytes === null ? '' : `, ${formatBytes(behindBytes)} behind`
  const at = durableAtMs === null ? '' : `, in the vault up to ${formatInstant(durableAtMs)}`
  const proven = provenAtMs === null ? '. No restore of it was proven yet' : `. Proven ${formatInstant(provenAtMs)}`
  return markup`<dt>WAL</dt><dd>${state}${why === null ? '' : markup`: ${showLine(why)}`}${behind}${at}${proven}</dd>`
}

function renderStorage({ storage, worth }: VaultTargets): Markup | '' {
  if (storage === null) return ''
  const { bytes, walBytes, addedBytesPerDay, bytesIn30Days, quotaBytes, freeBytes } = storage
  return markup`<section class="card"><h2>Room</h2><dl>
<dt>Copies take</dt><dd>${formatBytes(bytes)}, and WAL ${formatBytes(walBytes)}</dd>
<dt>A day adds</dt><dd>${formatBytes(addedBytesPerDay)}</dd>
<dt>In 30 days</dt><dd>about ${formatBytes(bytesIn30Days)}, if it goes on like that</dd>
<dt>Quota</dt><dd>${quotaBytes === null ? 'none' : formatBytes(quotaBytes)}</dd>
<dt>Free on its disk</dt><dd>${formatBytes(freeBytes)}</dd>
<dt>What it is worth</dt><dd>${showLine(worth)}</dd></dl></section>`
}

function renderHolds({ holds }: VaultTargets): Markup | '' {
  if (holds.length === 0) return ''
  return markup`<section class="card"><h2>Held</h2><ul class="rows">${holds.map(
    ({ snapshot, upstream, reason }) =>
      markup`<li><div class="state"><span><code>${snapshot.slice(0, 16)}</code> ${upstream === null ? '' : showLine(upstream)}</span><span class="dim">${showLine(reason)}</span></div></li>`,
  )}</ul><p class="dim small">Only whoever has the vault itself ends a hold: sallyport vault release.</p></section>`
}
