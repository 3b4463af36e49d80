/** Every bound of the people's listener, in one place. */
export const limits = {
  bodyBytes: 64 * 1024,
  headerBytes: 16 * 1024,
  requestTimeoutMs: 10_000,
  connections: 256,
  /** A signed-in browser: idle, and in all. */
  sessionIdleMs: 30 * 60_000,
  sessionMs: 8 * 60 * 60_000,
  /** How long a passkey prompt may take. */
  challengeMs: 2 * 60_000,
  /** More than strangers can start while a prompt lives, so that a flood pushes nobody's out. */
  challenges: 20_000,
  /** From the sign-in page to an identity provider and back, and from there to the passkey that connects the account. */
  accountMs: 10 * 60_000,
  linkMs: 10 * 60_000,
  /** A link that a second person has to confirm first. */
  confirmedLinkMs: 60 * 60_000,
  /** Invitations open at once. */
  invitations: 20,
  handleMsMax: 24 * 60 * 60_000,
  /** The live view flushes at most four times a second. */
  flushMs: 250,
  heartbeatMs: 15_000,
  backlog: 2_000,
  recent: 100,
  streams: 32,
  requestsListed: 200,
  /** Of the console: events and sessions on a page, and lines that a message of the stream carries. */
  linesListed: 60,
  requestsInbox: 1_000,
  sessionsListed: 200,
  linesInMessage: 40,
  /** Agents on upstreams that a message of the stream says anew. */
  actingInMessage: 24,
  /** A configuration that is edited in a browser, characters; a longer one is edited in its file. */
  textCharacters: 30_000,
} as const

/** Attempts a minute, each with its own bucket. */
export const rates = {
  /** Posts of one browser that nobody signed in with. */
  stranger: 60,
  /** Those of all such browsers together, since a cookie is easily thrown away. High, so that a flood that locks people out is itself hard work. */
  strangers: 6_000,
  /** Failed bearer tokens. Right ones are never counted, so nobody can lock the operator out. */
  badToken: 60,
  /** Sign-ins by an account that are begun, of all browsers together: each asks the provider something. A passkey works meanwhile. */
  accounts: 600,
  /** Verdicts, releases, invitations of one browser session. */
  signed: 60,
  /** Kills, cancels and other posts of one browser session. */
  posts: 240,
  /** Trials of a configuration: each takes a processor for about a second. */
  trials: 20,
} as const
