import type { ArchivedRange } from './archived-range.ts'

/** Why a log cannot be believed. Closed: whoever shows findings must have words for each. */
export type Finding =
  /** Bytes that no write of ours leaves behind, with the record of what was there gone or changed. */
  | { readonly kind: 'damaged'; readonly segment: string; readonly position: number; readonly detail: string }
  /** A segment that does not begin where the one before it ended. */
  | { readonly kind: 'gap'; readonly segment: string; readonly expected: number; readonly found: number }
  | { readonly kind: 'not_an_event'; readonly index: number; readonly detail: string }
  | { readonly kind: 'entry_changed'; readonly index: number }
  | { readonly kind: 'entry_removed'; readonly index: number; readonly count: number }
  | { readonly kind: 'entry_added'; readonly index: number; readonly count: number }
  | { readonly kind: 'entries_reordered'; readonly index: number; readonly count: number }
  /** The entries do not add up to what was signed for this size. */
  | { readonly kind: 'root_mismatch'; readonly size: number; readonly by: 'log' | 'witness' }
  /** Fewer entries than was signed for. */
  | { readonly kind: 'truncated'; readonly size: number; readonly expected: number; readonly by: 'log' | 'witness' }
  /** The log's own key signed a history other than the one the witness saw. */
  | { readonly kind: 'rewritten'; readonly size: number }
  /** Entries after the last signed checkpoint: left by a crash, or slipped in. Starting the gate signs what it finds. */
  | { readonly kind: 'unsigned_tail'; readonly index: number; readonly count: number }
  | { readonly kind: 'checkpoint_missing' }
  | { readonly kind: 'checkpoint_invalid'; readonly detail: string }
  | { readonly kind: 'witness_invalid'; readonly detail: string }
  /** A stored tile that does not hold the hashes of the entries; proofs made from it will not verify. */
  | { readonly kind: 'tile_altered'; readonly path: string }
  /** They were archived and dropped, and the tiles that hold their hashes are gone: nothing says any more what they were. */
  | { readonly kind: 'archive_unproven'; readonly index: number; readonly count: number }

/** What is worth knowing and no reason for doubt. */
export type Information =
  /** No witness's checkpoint was compared: whoever holds the gateway's key could have cut off or rewritten the log. */
  | { readonly kind: 'truncation_not_excluded' }
  /** Entries that the log's key signed and no witness has seen yet. */
  | { readonly kind: 'not_yet_witnessed'; readonly index: number; readonly count: number }
  /** Entries that the running gate has not signed yet; it signed all those that were there a moment before. */
  | { readonly kind: 'not_yet_signed'; readonly index: number; readonly count: number }
  /** The start of a write that was never finished, so never acknowledged. */
  | { readonly kind: 'torn_tail'; readonly segment: string; readonly position: number; readonly bytes: number }
  /** Nothing says what came of it: the gate was stopped in between. Never retried. */
  | { readonly kind: 'intent_without_outcome'; readonly index: number; readonly intent: string }
  /** The log's signature was checked with a key that lies beside the log itself, so it proves nothing against whoever can write there. */
  | { readonly kind: 'key_from_the_log_itself' }
  /** Entries that lie in a vault and not here: their hashes add up to what was signed, their content was not looked at. */
  | ({ readonly kind: 'archived' } & ArchivedRange)

/** A finding in a sentence. */
export function explainFinding(finding: Finding): string {
  switch (finding.kind) {
    case 'damaged':
      return `Segment ${finding.segment} is damaged at byte ${finding.position}: ${finding.detail}.`
    case 'gap':
      return `Segment ${finding.segment} begins at entry ${finding.found}; entry ${finding.expected} should come next.`
    case 'not_an_event':
      return `Entry ${finding.index} is not an event of the log (${finding.detail}).`
    case 'entry_changed':
      return `Entry ${finding.index} was changed after it was signed.`
    case 'entry_removed':
      return `${entries(finding.count)} removed at entry ${finding.index}.`
    case 'entry_added':
      return `${entries(finding.count)} slipped in at entry ${finding.index}.`
    case 'entries_reordered':
      return `${entries(finding.count)} from entry ${finding.index} on ${finding.count === 1 ? 'is' : 'are'} not in the order that was signed.`
    case 'root_mismatch':
      return `The first ${finding.size} entries are not those that the ${finding.by} signed.`
    case 'truncated':
      return `${finding.size} entries are left of the ${finding.expected} that the ${finding.by} signed.`
    case 'rewritten':
      return `The first ${finding.size} entries were rewritten and signed again with the gateway's own key; the witness saw others.`
    case 'unsigned_tail':
      return `${entries(finding.count)} from entry ${finding.index} on stand behind the last signed checkpoint: left by a crash or slipped in. If the gate was killed, start it once and verify again.`
    case 'checkpoint_missing':
      return 'There is no signed checkpoint.'
    case 'checkpoint_invalid':
      return `The log's checkpoint cannot be believed: ${finding.detail}.`
    case 'witness_invalid':
      return `The witness's checkpoint cannot be believed: ${finding.detail}.`
    case 'tile_altered':
      return `The stored tile ${finding.path} does not fit the entries.`
    case 'archive_unproven':
      return `${entries(finding.count)} from entry ${finding.index} on were archived and dropped, and the tiles with their hashes are not here: put the directory tile back.`
  }
}

/** A piece of information in a sentence. */
export function explainInformation(information: Information): string {
  switch (information.kind) {
    case 'truncation_not_excluded':
      return "Truncation not excluded: no witness's checkpoint was compared, so whoever holds the gateway's key could have cut off or rewritten the log."
    case 'not_yet_witnessed':
      return `${entries(information.count)} from entry ${information.index} on ${information.count === 1 ? 'has' : 'have'} not been witnessed yet.`
    case 'not_yet_signed':
      return `${entries(information.count)} from entry ${information.index} on came while the log was read and will be signed with the next checkpoint.`
    case 'torn_tail':
      return `Segment ${information.segment} ends in ${information.bytes} bytes of a write that was never finished nor acknowledged.`
    case 'intent_without_outcome':
      return `Intent ${information.intent} (entry ${information.index}) has no outcome: what came of it is unknown.`
    case 'archived':
      return `Entries ${information.first} to ${information.next - 1} are not here: the vault ${information.vault.slice(0, 16)}… sealed them as snapshot ${information.snapshot.slice(0, 16)}… and keeps them until ${new Date(information.retainUntilMs).toISOString()} or longer. Their hashes are part of what was checked, their content is not: \`sallyport log recall\` reads it back.`
    case 'key_from_the_log_itself':
      return "The log's signature was checked with a key found beside the log: that proves nothing against someone who can write there. Give the key with --log-key, or compare with a witness."
  }
}

function entries(count: number): string {
  return count === 1 ? '1 entry' : `${count} entries`
}
