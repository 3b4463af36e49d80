import type { Narrowing } from './narrowing.ts'

/** A one-use grant, made from an approved access request. Standing scope comes from configuration and is policy, not a row. */
export interface Grant {
  readonly id: string
  /** The access request it came from. */
  readonly request: string
  readonly agent: string
  readonly digest: string
  readonly upstream: string
  readonly policyHash: string
  /** `type name identity schemaHash` of every resource as approved; void when one differs. */
  readonly targets: readonly string[]
  readonly rowsMax: number | null
  readonly approvers: readonly string[]
  readonly notBeforeMs: number
  readonly expiresAtMs: number
  readonly state: 'open' | 'consumed' | 'void'
  /** The plan it is a step of: it may be used once the steps before it succeeded. Or the approval ahead that it is a use of. Null: it stands alone. */
  readonly plan: string | null
  /** What came of it is known: it is neither running nor to be given back. */
  readonly settled: boolean
  /** The intent that consumed it; lets a restart give back a grant whose intent never reached the log. */
  readonly intent: string | null
}

/** The narrow, short-lived secret's public half: what the store keeps of it. */
export interface Handle {
  readonly id: string
  readonly agent: string
  readonly owner: string
  readonly parent: string | null
  /** Of one that was narrowed from another. */
  readonly narrowing?: Narrowing | null
  readonly issuedAtMs: number
  readonly expiresAtMs: number
  readonly revokedAtMs: number | null
  /** SCRAM-SHA-256 verifier: salt, iterations, StoredKey, ServerKey, all base64 (RFC 5803). Never the secret. */
  readonly scram: { readonly salt: string; readonly iterations: number; readonly storedKey: string; readonly serverKey: string }
  /** SHA-256 of the secret, hex, for bearer use. The secret has 256 bits of entropy, so a plain hash suffices. */
  readonly secretSha256: string
}
