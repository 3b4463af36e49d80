import type { SqlRow } from '@sallyport/core'
import { readRow } from '../../protocols/postgres/gate-channel.ts'
import { readSettings } from '../../protocols/postgres/meaning.ts'
import {
  bindMessage,
  client,
  closeMessage,
  executeMessage,
  makeReservedName,
  parseMessage,
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

/**
 * The questions about one connection: whether one made now would be the same, and what a session asks before anything else. They are planned when
 * it is made, so that asking once more, before it is handed out, costs one short trip.
 */
export class Fitness {
  readonly #connected: Connected
  readonly #names = [makeReservedName(), makeReservedName()] as const
  #first: string | null = null

  constructor(connected: Connected) {
    this.#connected = connected
  }

  /** Asks for the first time; false when the server does not say, and then the connection is closed. */
  async begin(signal: AbortSignal): Promise<boolean> {
    const [fitness, settings] = this.#names
    const rows = await this.#converse([parseMessage(fitness, fitnessSql), parseMessage(settings, readSettings)], [], signal)
    this.#first = rows?.[0]?.[0] ?? null
    if (this.#first === null) this.#connected.socket.destroy()
    return this.#first !== null
  }

  /** The connection to hand out, when one made now would be the same; else null, and it is closed. Nothing of the questions is left in it. */
  async take(signal: AbortSignal): Promise<Connected | null> {
    const rows = await this.#converse(
      [],
      this.#names.map((name) => closeMessage('S', name)),
      signal,
    )
    const [now, told] = rows ?? []
    if (told !== undefined && now?.[0] === this.#first) return { ...this.#connected, told }
    this.#connected.socket.destroy()
    return null
  }

  /** One row for each question; null when the server does not answer, or not in time, and then the connection is closed. */
  async #converse(before: readonly Buffer[], after: readonly Buffer[], signal: AbortSignal): Promise<readonly SqlRow[] | null> {
    const line = new OwnLine(this.#connected)
    const until = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    const stop = (): void => line.close()
    until.addEventListener('abort', stop)
    try {
      const rows: SqlRow[] = []
      const answered = new Promise<boolean>((resolve) => {
        line.take((type, message) => {
          if (type === server.dataRow) rows.push(readRow(message))
          else if (type === server.ready) line.take(null)
          if (type === server.ready || type === server.error || type === client.terminate) resolve(type === server.ready)
        })
      })
      const asking = this.#names.flatMap((name) => [bindMessage('', name, []), executeMessage('')])
      if (until.aborted) line.close()
      else await line.write(Buffer.concat([...before, ...asking, ...after, syncMessage]), 1)
      if (!(await answered) || rows.length !== this.#names.length) throw new Error('it was not answered')
      line.leave()
      return rows
    } catch {
      line.close()
      return null
    } finally {
      until.removeEventListener('abort', stop)
    }
  }
}
