import { visibleLine } from '@sallyport/core'
import type { Bundle, BundleReport } from './bundle.ts'
import { bundleShape } from './bundle.ts'
import { CommandFailure, exitCodes } from './failure.ts'
import { lineOf } from './log-search.ts'

const opening = '<pre id="sallyport-bundle" hidden>'
const closing = '</pre><!-- sallyport-bundle -->'

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

function escape(text: string): string {
  return visibleLine(text).replace(/[&<>"']/g, (character) => escapes[character] ?? '')
}

/**
 * One file that a person reads in a browser and `sallyport verify` checks: the proof itself stands in it as base64. No script, nothing loaded; what
 * agents wrote is text.
 */
export function renderBundle(bundle: Bundle, report: BundleReport): string {
  const rows = report.entries.map(({ index, event }) => {
    const words = event === null ? 'cannot be read' : lineOf(index, event)
    return `<tr><td>${index}</td><td>${escape(words)}</td></tr>`
  })
  const raw = bundle.entries.map(
    ({ index, entry }) => `<details><summary>${index}</summary><pre>${escape(entry)}</pre></details>`,
  )
  const witnessed =
    report.witnessTimeS === null
      ? 'No witness that is known here has signed it, so it is not excluded that a later, different history exists.'
      : `A witness signed at ${new Date(report.witnessTimeS * 1000).toISOString()} that it had seen exactly this history, and none that contradicts it.`
  const data = Buffer.from(JSON.stringify(bundle)).toString('base64')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Sallyport: ${escape(bundle.about)}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; } td { border-top: 1px solid #999; padding: .3rem; vertical-align: top; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; } code { overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>${escape(bundle.about)}</h1>
<p>These are ${report.entries.length} of the ${report.size} entries that the log <code>${escape(report.origin)}</code> held when its last checkpoint in this
file was signed. Each comes with a proof that it stands in that log at its place, unchanged. ${witnessed}</p>
<h2>What happened</h2>
<table>${rows.join('\n')}</table>
<h2>How to check it</h2>
<p>This page only says what whoever made it says. To check it, on any machine and without the gate:</p>
<pre>sallyport verify THIS-FILE --log-key KEY --witness-key KEY</pre>
<p>The keys must come from somewhere else than this file: from the people who run the gate, or from its vault. Those that lay beside the log were:</p>
<pre>${bundle.keys.map(escape).join('\n')}</pre>
<p>What it does not show: entries that were left out of this file, and anything after the checkpoint. An entry that is here cannot be another; an entry
that is not here may exist.</p>
<h2>The entries as they stand on the log</h2>
${raw.join('\n')}
<h2>The checkpoint</h2>
<pre>${bundle.checkpoint.split('\n').map(escape).join('\n')}</pre>
${opening}${data}${closing}
</body>
</html>
`
}

/** The bundle in such a file. @throws CommandFailure when there is none */
export function readBundle(text: string): Bundle {
  const from = text.lastIndexOf(opening)
  const to = text.indexOf(closing, from)
  const parsed = bundleShape.safeParse(from < 0 || to < 0 ? null : parse(text.slice(from + opening.length, to)))
  if (parsed.success) return parsed.data
  throw new CommandFailure(
    exitCodes.usage,
    'no_bundle',
    'This file holds no proof by Sallyport, or one that was cut.',
    'Nothing was verified.',
    'Make one with `sallyport log bundle`.',
  )
}

function parse(base64: string): unknown {
  try {
    return JSON.parse(Buffer.from(base64, 'base64').toString('utf8'))
  } catch {
    return null
  }
}
