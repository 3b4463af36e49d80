import type { IncomingMessage } from 'node:http'
import type { Json } from '@sallyport/core'
import { VaultFailure } from './failure.ts'

/** What one verb answers: a document, or bytes as they come off the disk. */
export type Answer =
  | { readonly kind: 'json'; readonly status: number; readonly body: Json }
  | { readonly kind: 'text'; readonly status: number; readonly text: string }
  | { readonly kind: 'bytes'; readonly bytes: AsyncIterable<Uint8Array> }

export interface Call {
  readonly request: IncomingMessage
  readonly method: string
  readonly path: readonly string[]
  readonly query: URLSearchParams
  /** Id of the credential that asks. */
  readonly credential: string
}

export function document(body: Json, status = 200): Answer {
  return { kind: 'json', status, body }
}

export function noSuchVerb(): VaultFailure {
  return new VaultFailure('no_such_verb', 'The vault has no such verb. It has none that deletes, overwrites or shortens.')
}
