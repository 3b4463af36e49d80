import type { CodeRule } from '@sallyport/core'

/** An app that makes a person's one-time codes (RFC 6238). */
export interface CodeApp {
  readonly id: string
  /** Its secret, sealed: only the gate's key opens it. */
  readonly sealed: string
  readonly addedAtMs: number
  /** So many codes in a row were wrong that none counts any more. */
  readonly isLocked: boolean
}

/** One-time codes, where policy lets them approve something. */
export interface Codes {
  readonly rule: CodeRule
  seal(about: { readonly person: string; readonly id: string }, secret: Uint8Array): string
  /** Null: it is not what was sealed for this person under this gate's key. */
  open(about: { readonly person: string; readonly id: string }, sealed: string): Uint8Array | null
}
