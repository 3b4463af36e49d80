/** Whether a transaction block is open, as far as command tags and ReadyForQuery tell. */
export type Block = 'none' | 'open' | 'unsure'

/**
 * What the tag from `start` to `end` says of it; null: nothing. ROLLBACK is also the tag of ROLLBACK TO, and COMMIT that of COMMIT AND CHAIN. Tags that begin
 * with another letter than these few are told by that: this looks at every completion.
 */
export function blockAfter(bytes: Buffer, start: number, end: number): Block | null {
  const first = bytes[start]
  if (first !== 0x42 && first !== 0x43 && first !== 0x50 && first !== 0x52 && first !== 0x53) return null
  // SELECT is the most frequent of all.
  if (first === 0x53 && bytes[start + 1] !== 0x54) return null
  const tag = bytes.toString('latin1', start, end)
  if (tag === 'BEGIN' || tag === 'START TRANSACTION') return 'open'
  return tag === 'COMMIT' || tag === 'ROLLBACK' || tag === 'PREPARE TRANSACTION' ? 'unsure' : null
}
