import { type AskedOperation, canonicalJson, type Json } from '@sallyport/core'
import { showLine } from '../../fence.ts'
import { markup, type Markup, type Piece } from '../../markup.ts'
import { formatAmount, formatBytes } from '../../time-words.ts'
import { badgeOf } from '../../words.ts'

/** One operation, whole: a field that is added and not shown is a type error. */
export function renderOperation(operation: AskedOperation, index: number, count: number): Markup {
  const { action, kind, reversible, why, resources, rows, bytes, tables, dependants, ...unseen } = operation
  const everythingIsShown: Readonly<Record<string, never>> = unseen
  const badge = badgeOf(kind)
  return markup`<div class="op"${Object.keys(everythingIsShown).length > 0 ? markup` data-incomplete="true"` : ''}>
<h3>${count > 1 ? `${index + 1}. ` : ''}<span class="badge ${badge.tone}"><span aria-hidden="true">${badge.sign}</span> ${badge.word}</span> <code>${showLine(action)}</code></h3>
<p>${showLine(why)}</p><dl>
<dt>Reversible</dt><dd>${reversible ? 'yes, by itself' : markup`<b>no, not by itself</b>`}</dd>
<dt>Rows</dt><dd>${rows === null ? 'not counted' : formatAmount(rows, 'row')}</dd>
<dt>Size</dt><dd>${bytes === null ? 'not measured' : formatBytes(bytes)}</dd>
<dt>Tables</dt><dd>${renderNames(tables, 'none named')}</dd>
<dt>Depends on it</dt><dd>${renderNames(dependants, 'nothing found')}</dd>
${resources.map(renderResource)}</dl></div>`
}

function renderNames(names: readonly string[], none: string): Piece {
  if (names.length === 0) return markup`<span class="dim">${none}</span>`
  return [
    names.length > 3 ? `${names.length}: ` : '',
    names.map((name, index) => [index === 0 ? '' : ', ', markup`<code>${showLine(name)}</code>`]),
  ]
}

function renderResource(resource: AskedOperation['resources'][number]): Markup {
  const { type, name, identity, schemaHash, ...unseen } = resource
  const everythingIsShown: Readonly<Record<string, never>> = unseen
  return markup`<dt>${showLine(type)}</dt><dd${Object.keys(everythingIsShown).length > 0 ? markup` data-incomplete="true"` : ''}><code>${showLine(name)}</code>
<div class="dim small">identity ${identity === null ? 'unknown' : markup`<code>${showLine(identity)}</code>`}, shape ${schemaHash === null ? 'unknown' : markup`<code>${showLine(schemaHash)}</code>`}</div></dd>`
}

/** Values bound to the statement, as signed, and as text where they are the base64 of text. */
export function renderBindValues(values: readonly Json[]): Piece {
  if (values.length === 0) return ''
  return markup`<h3>${formatAmount(values.length, 'bound value')}</h3><dl>${values.map((value, index) => {
    const readings = readStrings(value)
    return markup`<dt>$${index + 1}</dt><dd><code>${showLine(canonicalJson(value))}</code>${readings.map((reading) => markup`<div class="small dim">which is the text “${showLine(reading)}”</div>`)}</dd>`
  })}</dl>`
}

/** Strings within a value that are base64 of UTF-8 text. A help for the eye only: what is signed is shown beside it. */
function readStrings(value: Json): readonly string[] {
  if (typeof value === 'string') return readBase64(value)
  if (value === null || typeof value !== 'object') return []
  return Object.values(value).flatMap((inner: Json) => (typeof inner === 'string' ? readBase64(inner) : []))
}

function readBase64(text: string): readonly string[] {
  const bytes = Buffer.from(text, 'base64')
  if (text === '' || bytes.toString('base64') !== text) return []
  try {
    const reading = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return /\p{Cc}/u.test(reading) ? [] : [reading]
  } catch {
    return []
  }
}
