/** One signed-in browser. */
export interface WebSession {
  /** SHA-256 of the cookie's value, hex. */
  readonly idSha256: string
  readonly person: string
  /** What they showed. An account shows pages; what gives power takes a passkey. */
  readonly by: 'passkey' | 'account'
  readonly createdAtMs: number
  readonly lastSeenAtMs: number
}

export interface WebSessions {
  create(session: WebSession): Promise<void>
  get(idSha256: string): Promise<WebSession | null>
  touch(idSha256: string, lastSeenAtMs: number): Promise<void>
  end(idSha256: string): Promise<void>
}
