import { SallyportError } from '@sallyport/core'
import { isMap, isSeq, parseDocument, type Document } from 'yaml'

/** A change of sallyport.yaml that somebody is offered instead of having to type it. */
export type Change =
  /** Lines of `may:` that an agent does not use. */
  | { readonly kind: 'remove_scope'; readonly agent: string; readonly lines: readonly string[] }
  | { readonly kind: 'add_scope'; readonly agent: string; readonly lines: readonly string[] }
  | { readonly kind: 'rows'; readonly rows: number }
  | { readonly kind: 'expect'; readonly line: string }

/** The text with the change in it. Comments and order stay as they are. @throws SallyportError when it does not fit */
export function changeText(text: string, change: Change): string {
  const document = parseDocument(text)
  if (document.errors.length > 0 || !isMap(document.contents))
    throw unfit('The configuration in force cannot be changed line by line.')
  switch (change.kind) {
    case 'remove_scope':
      removeScope(document, change)
      break
    case 'add_scope':
      for (const line of change.lines) addLine(document, ['agents', change.agent, 'may'], line)
      break
    case 'rows':
      document.setIn(['limits', 'rowsWithoutPrompt'], change.rows)
      break
    case 'expect':
      if (document.get('expect') === undefined) document.set('expect', document.createNode([]))
      addLine(document, ['expect'], change.line)
  }
  return document.toString({ lineWidth: 130 })
}

/** Lines are compared as they are written, blanks apart. */
function removeScope(document: Document, { agent, lines }: Extract<Change, { kind: 'remove_scope' }>): void {
  const list: unknown = document.getIn(['agents', agent, 'may'])
  if (!isSeq(list)) throw unfit(`No agent is called ${agent} in it, or it may do nothing.`)
  const gone = new Set(lines.map(plain))
  const left = list.items.filter((item) => !gone.has(plain(String(item))))
  if (left.length === list.items.length) throw unfit('None of these lines is in it any more.')
  list.items = left
}

function addLine(document: Document, path: readonly string[], line: string): void {
  const list: unknown = document.getIn(path)
  if (!isSeq(list)) throw unfit(`There is no list at ${path.join('.')}.`)
  if (list.items.some((item) => plain(String(item)) === plain(line))) return
  list.add(document.createNode(line))
}

function plain(line: string): string {
  return line.trim().replaceAll(/\s+/g, ' ')
}

function unfit(what: string): SallyportError {
  return new SallyportError('target_changed', what, 'Nothing was changed.', 'Change sallyport.yaml by hand.')
}
