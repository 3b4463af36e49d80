import type { Refused } from './refusal.ts'
import type { SessionParts } from './session-parts.ts'

/** A credential in SQL with which the database would log in somewhere: Sallyport did not issue it (promise 2). */
export interface ForeignCredential {
  readonly place: string
}

/** Whether a statement is worth reading as text: most are not, and this is asked of each. */
export function mayHoldPassword(sql: Buffer): boolean {
  return sql.includes('assword', 0, 'latin1') || sql.includes('ASSWORD', 0, 'latin1') || sql.includes('://', 0, 'latin1')
}

/** What makes a database a client of another one. Names of anything else may hold these words too; then the rest has to be there as well. */
const logsIn = /dblink|subscription|user\s+mapping|foreign\s+server|create\s+server|alter\s+server|postgres_fdw|primary_conninfo/i
/** libpq's keywords and URLs (PostgreSQL 18 documentation, 32.1.1): the password may be quoted once more, and its piece end here. */
const conninfo = /^\s{0,64}(?:[a-z_]{1,64}\s{0,8}=\s{0,8}\S{0,512}\s{1,8}){0,40}(?:ssl)?password\s{0,8}=\s{0,8}(?:\S|$)/
const url = /(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9+.-]{1,30}:\/\/[^\s/?#@"]{0,256}:[^\s/?#@"]{1,512}@/
/** An option of a user mapping. */
const option = /(?<![A-Za-z0-9_])password"?\s{1,8}E?(?:'[^']|\$)/i
const pieceCharactersMax = 8_192

/**
 * Looks for a password written plainly in a statement that logs in elsewhere, or bound to one. What is put together by the statement itself
 * (`'pass' || 'word=…'`, `format`) is not read here: such a statement is `escalate` and waits for people.
 */
export function findForeignCredential(text: string, bound: readonly string[]): ForeignCredential | null {
  if (!logsIn.test(text)) return null
  if (splitAtQuotes(text).some(isConnection)) return { place: 'connection string' }
  if (/options\s{0,8}\(/i.test(text) && option.test(text)) return { place: 'options' }
  return bound.some(isConnection) ? { place: 'bound value' } : null
}

/** What stands in quotes of any kind, and what stands between them: the words of SQL are no connection string. */
function splitAtQuotes(text: string): readonly string[] {
  return text.split(/'|\$[A-Za-z0-9_]{0,63}\$/)
}

function isConnection(piece: string): boolean {
  const start = piece.slice(0, pieceCharactersMax)
  return conninfo.test(start) || url.test(start)
}

/** Refuses, and rings. What was found goes nowhere, not even as a digest: a password is short enough to be guessed from one. */
export function refuseForeign({ gate, open }: SessionParts, { place }: ForeignCredential): Refused {
  const { id, subject, upstream } = open.session
  const data = { place, shape: 'database password', upstream }
  gate.alarm({ kind: 'foreign_credential', session: id, agent: subject.agent, data })
  return {
    code: 'foreign_credential',
    message: `This statement carries a credential that Sallyport did not issue (a password, in its ${place}).`,
    notDone: 'Nothing was sent upstream.',
    next: 'Ask your owner to add the other database as an upstream. If you found this password somewhere, tell your owner where.',
  }
}
