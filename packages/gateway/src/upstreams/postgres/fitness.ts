import { readSettings } from '../../protocols/postgres/meaning.ts'
import {
  bindMessage,
  client,
  closeMessage,
  executeMessage,
  headerBytes,
  makeReservedName,
  parseMessage,
  queryMessage,
  server,
  syncMessage,
} from '../../protocols/postgres/wire.ts'
import type { Connected } from './connect.ts'
import { OwnLine } from './protect.ts'

/** Operators are named with their schema: this is asked under the role of an agent, whose search_path somebody may have set. */
const equal = 'OPERATOR(pg_catalog.=)'
const text = '::pg_catalog.text'

/**
 * One text that is another one when a connection made now would start otherwise, or not at all: the server read its settings again, the role or
 * its settings changed, it may log in no more, its time is over, the database or who may connect to it changed. All of it may be asked by anybody.
 * What it can't see is a changed password: that is why nothing waits for long.
 */
const fitnessSql = `SELECT pg_catalog.concat_ws(' ', \
pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()), pg_catalog.date_part('epoch', pg_catalog.pg_conf_load_time()), \
session_user, current_user, \
(SELECT ROW(r.oid, r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication, r.rolbypassrls, \
r.rolconnlimit, pg_catalog.date_part('epoch', r.rolvaliduntil), \
r.rolvaliduntil IS NULL OR r.rolvaliduntil OPERATOR(pg_catalog.>) pg_catalog.now())${text} \
FROM pg_catalog.pg_roles r WHERE r.rolname ${equal} session_user), \
(SELECT ROW(d.oid, d.datname, d.datallowconn, d.datconnlimit, d.datacl, \
pg_catalog.has_database_privilege(session_user, d.oid, 'CONNECT'))${text} \
FROM pg_catalog.pg_database d WHERE d.datname ${equal} pg_catalog.current_database()), \
(SELECT pg_catalog.string_agg(ROW(s.setdatabase, s.setrole, s.setconfig)${text}, ' ' ORDER BY s.setdatabase, s.setrole) \
FROM pg_catalog.pg_db_role_setting s), \
(SELECT pg_catalog.sum(pg_catalog.hashtextextended(ROW(m.roleid, m.member, m.admin_option)${text}, 0::pg_catalog.int8)) \
FROM pg_catalog.pg_auth_members m))`

/** Longer than that, and a new connection is as fast. */
const timeoutMs = 1_000

/** The question about one connection: planned when it is made, so that asking once more, before it is handed out, costs little. */
export class Fitness {
  readonly #connected: Connected
  readonly #name = makeReservedName()
  #first: string | null = null

  constructor(connected: Connected) {
    this.#connected = connected
  }

  /** Asks for the first time; false when the server does not say, and then the connection is closed. */
  async begin(signal: AbortSignal): Promise<boolean> {
    // What every session begins with is asked as well, for nothing but the server's caches.
    const words = [queryMessage(readSettings), parseMessage(this.#name, fitnessSql), ...this.#asking(), syncMessage]
    this.#first = await this.#converse(Buffer.concat(words), 2, signal)
    return this.#first !== null
  }

  /** Whether a connection made now would be the same; if not, this one is closed. If so, nothing of the question is left in it. */
  async isStill(signal: AbortSignal): Promise<boolean> {
    const now = await this.#converse(Buffer.concat([...this.#asking(), closeMessage('S', this.#name), syncMessage]), 1, signal)
    const isSame = now !== null && now === this.#first
    if (!isSame) this.#connected.socket.destroy()
    return isSame
  }

  #asking(): readonly Buffer[] {
    return [bindMessage('', this.#name, []), executeMessage('')]
  }

  /** The one value of the last row that is answered; null when there is none, or an error, or it takes too long. */
  async #converse(words: Buffer, readies: number, signal: AbortSignal): Promise<string | null> {
    const line = new OwnLine(this.#connected)
    const until = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    const stop = (): void => line.close()
    until.addEventListener('abort', stop)
    try {
      let said: string | null = null
      let left = readies
      const answered = new Promise<boolean>((resolve) => {
        line.take((type, message) => {
          if (type === server.dataRow) said = readOnlyValue(message)
          else if (type === server.ready) left -= 1
          if (left === 0) line.take(null)
          if (left === 0 || type === server.error || type === client.terminate) resolve(left === 0)
        })
      })
      if (until.aborted) line.close()
      else await line.write(words, readies)
      if (!(await answered)) throw new Error('it was not answered')
      line.leave()
      return said
    } catch {
      line.close()
      return null
    } finally {
      until.removeEventListener('abort', stop)
    }
  }
}

/** Of a row of one column; null for a NULL, and for a row of more. */
function readOnlyValue(row: Buffer): string | null {
  if (row.readInt16BE(headerBytes) !== 1) return null
  const length = row.readInt32BE(headerBytes + 2)
  return length < 0 ? null : row.toString('utf8', headerBytes + 6, headerBytes + 6 + length)
}
