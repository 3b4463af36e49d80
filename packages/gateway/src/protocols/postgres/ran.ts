/** What came of the one statement that is watched. */
export type Ran =
  | { readonly result: 'completed'; readonly rows: number | undefined; readonly suspended: boolean }
  | { readonly result: 'failed'; readonly sqlState: string; readonly skipped: boolean }
  | { readonly result: 'broken' }

/** Who waits for that. */
export interface Watch {
  /** Executes sent earlier in the same batch whose completions come first. */
  skip: number
  until: 'ready' | 'completion'
  ran: Ran | null
  readonly resolve: (ran: Ran) => void
}
