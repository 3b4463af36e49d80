import type { Govern } from './govern.ts'

/** Something that listens, and can stop. */
export interface Listener {
  readonly address: { readonly host: string; readonly port: number }
  /** Stops accepting, ends what runs, resolves when the last socket is closed. */
  close(): Promise<void>
}

/**
 * A wire language: listen, decode, ask govern, `send(clearance, …)`, refuse in the client's words.
 * `Upstreams` is the protocol's own port to its upstreams, handed in by main: a protocol folder opens no socket to an upstream itself.
 */
export interface Protocol<Upstreams, Settings> {
  readonly id: string
  listen(govern: Govern, upstreams: Upstreams, settings: Settings): Promise<Listener>
}
