import type { ShownChange, TrialView } from '@sallyport/console'
import type { TriedExpectation } from '@sallyport/core'

export type Proposing =
  /** `unmet`: it does not keep to what it says itself is expected of it. */
  | { readonly outcome: 'unmet' | 'mistakes'; readonly lines: readonly string[] }
  | { readonly outcome: 'same' | 'narrower' }
  | { readonly outcome: 'proposed'; readonly widenings: readonly string[] }

/** What people may try with the policy. Nothing of it changes what is in force: it ends in a proposal, which takes passkeys. */
export interface PolicyControl {
  /** What is expected of the configuration in force, and whether it keeps to it as things stand. */
  expectations(): Promise<readonly TriedExpectation[]>
  /** What this configuration would do, and what the log's requests would have got under it. @throws SallyportError */
  trial(text: string): Promise<{ readonly trial: TrialView; readonly unread: number }>
  /** The text in force with one change in it. @throws SallyportError when it does not fit */
  draft(change: ShownChange): string
  /** What a text does not keep to of what it itself expects, a line each. @throws SallyportError */
  unmet(text: string): Promise<readonly string[]>
  /** @throws SallyportError */
  propose(text: string, by: string): Promise<Proposing>
}
