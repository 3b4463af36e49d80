import { type ReactElement, useMemo } from 'react'
import { type TokenKind, tokenize } from './statement-tokens.ts'
import { Fence } from './text.tsx'

const looks: Readonly<Record<TokenKind, string>> = {
  plain: '',
  keyword: 'font-semibold text-accent',
  danger: 'font-bold text-bad underline decoration-1 underline-offset-2',
  text: 'text-good',
  number: 'text-warn',
  comment: 'text-dim italic',
}

/** What the agent sent, whole, with its words told apart. A comment that looks like a statement looks like a comment. */
export function Statement({
  label,
  text,
  protocol,
}: {
  readonly label: string
  readonly text: string
  readonly protocol: string
}): ReactElement {
  const pieces = useMemo(
    () => tokenize(text, protocol).map(({ kind, text: piece }) => ({ look: looks[kind], text: piece })),
    [text, protocol],
  )
  return <Fence label={label} text={text} pieces={pieces} />
}
