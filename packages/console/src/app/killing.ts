/** What is about to be stopped. */
export interface Killing {
  readonly scope: { readonly kind: 'session' | 'agent' | 'owner' | 'upstream' | 'all'; readonly id: string }
  readonly name: string
}
