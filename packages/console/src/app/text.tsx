import { visibleLine, visiblePieces } from '@sallyport/core'
import type { ReactElement } from 'react'
import { findOddities } from '../oddities.ts'

const lineCharacters = 300

/** Text of an agent's or an upstream's on one line: what would hide or reorder is written out, what is long is cut and says so. Never a link. */
export function Shown({ text, most = lineCharacters }: { readonly text: string; readonly most?: number }): ReactElement {
  const rest = text.length - most
  const kept = rest > 20 ? text.slice(0, most).toWellFormed() : text
  const line = kept.replaceAll(/[\n\t]/g, (character) => visibleLine(character))
  return (
    <bdi className="[overflow-wrap:anywhere]">
      <Pieces text={line} />
      {rest > 20 ? <span className="text-dim"> … and {rest} more characters</span> : null}
    </bdi>
  )
}

/** Escapes are in marks: no text can imitate one, since its own brackets are escaped too. */
function Pieces({ text }: { readonly text: string }): ReactElement {
  const pieces = visiblePieces(text)
  const first = pieces[0]
  if (first === undefined) return <></>
  if (pieces.length === 1 && first.kind === 'plain') return <>{first.text}</>
  return (
    <>
      {pieces.map((piece, index) =>
        piece.kind === 'plain' ? (
          piece.text
        ) : (
          <mark key={index} className="rounded bg-warn-soft px-0.5 text-warn" title="a character that does not show itself">
            {piece.text.replace('⟦U+000A⟧', '⏎')}
          </mark>
        ),
      )}
    </>
  )
}

/** The agent's own words in a box of their own: never cut, its length said, so that nothing hides below the fold. */
export function Fence({
  label,
  text,
  pieces = [{ look: '', text }],
}: {
  readonly label: string
  readonly text: string
  /** The same text in pieces, each with how it looks. Absent: one. */
  readonly pieces?: readonly { readonly look: string; readonly text: string }[]
}): ReactElement {
  const lines = text.split('\n').length
  const length = `${text.length.toLocaleString('en-US')} characters, ${lines.toLocaleString('en-US')} ${lines === 1 ? 'line' : 'lines'}`
  return (
    <figure>
      <figcaption className="mb-1.5 flex flex-wrap justify-between gap-x-4 text-small">
        <span className="font-medium">{label}</span>
        <span className="text-dim">{length}</span>
      </figcaption>
      {findOddities(text).map((warning) => (
        <p key={warning} className="mb-1.5 rounded-md bg-warn-soft px-2.5 py-1.5 text-small text-warn [overflow-wrap:anywhere]">
          <span aria-hidden="true">⚠ </span>
          {warning}
        </p>
      ))}
      <pre
        tabIndex={0}
        role="region"
        aria-label={`${label}, ${length}`}
        className="max-h-80 overflow-auto rounded-md border border-line bg-soft p-3 text-small leading-5 whitespace-pre-wrap [overflow-wrap:anywhere]"
      >
        {pieces.map((piece, index) =>
          piece.look === '' ? (
            <Pieces key={index} text={piece.text} />
          ) : (
            <span key={index} className={piece.look}>
              <Pieces text={piece.text} />
            </span>
          ),
        )}
      </pre>
    </figure>
  )
}
