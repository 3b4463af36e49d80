/** What a browser must bring back from the provider, and what is asked of the answer. */
export interface SignInSecrets {
  readonly state: string
  readonly nonce: string
  readonly codeVerifier: string
}

/** Who somebody is at the team's identity provider. */
export interface Account {
  readonly issuer: string
  readonly subject: string
  /** As they would be enrolled; null: the provider does not say. */
  readonly name: string | null
  readonly groups: readonly string[]
}

/** A store of this machine answers at once, one that gates share after a while. */
type Awaitable<Value> = Value | Promise<Value>

/** The team's identity provider, and which of its accounts are whose. */
export interface AccountSignIn {
  readonly issuer: string
  /** @throws SallyportError */
  begin(redirectUri: string): Promise<{ readonly url: string; readonly secrets: SignInSecrets }>
  /** @throws SallyportError unless it is the provider's answer to what was begun */
  finish(answered: URL, secrets: SignInSecrets): Promise<Account>
  /** The person that it was connected to. */
  find(issuer: string, subject: string): Awaitable<string | null>
  isConnected(issuer: string, person: string): Awaitable<boolean>
  /** False: it or the person is connected already, or the person is not enrolled. */
  connect(account: Account, person: string): Awaitable<boolean>
  learnGroups(account: Account, groups: readonly string[], nowMs: number): Awaitable<void>
  /** What a browser began, under the hash of its secret: taken once, at whichever gate. */
  readonly signIns: {
    keep(idSha256: string, body: string, untilMs: number, nowMs: number): Awaitable<void>
    take(idSha256: string, nowMs: number): Awaitable<string | null>
  }
}
