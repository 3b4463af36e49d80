import { afterAll, beforeAll } from 'vitest'
import { closeParsers } from '../../packages/connectors/src/postgres/describe.ts'
import { openAccess, type RealAccess } from '../fakes/sql-access.ts'
import { startPostgres, type PostgresServer } from './postgres.ts'

/** A database of its own on a server of its own, and the two ways in that a gate has, without the gate. */
export interface TrialDatabase {
  readonly server: PostgresServer
  readonly access: RealAccess
  /** A further agent's ways in; closed with the rest. */
  readonly open: () => Promise<RealAccess>
  /** Runs SQL by the way that copies are made by. */
  readonly setUp: (sql: string) => Promise<void>
  /** Rolls back what is open, makes the schema `t` anew, empty, and runs SQL. */
  readonly fresh: (sql: string) => Promise<void>
  /** What a query finds, as one text to compare. */
  readonly rows: (sql: string) => Promise<string>
}

/** Called at the top of a test file: there before its tests, and gone after them. */
export function useTrialDatabase(): TrialDatabase {
  let server: PostgresServer | null = null
  const opened: RealAccess[] = []
  const made = <Made>(value: Made | null | undefined): Made => {
    if (value === null || value === undefined)
      throw new Error('the trial database is made before the tests, not before their file')
    return value
  }
  const open = async (): Promise<RealAccess> => {
    const url = made(server).url('trial')
    const access = await openAccess(url, url)
    opened.push(access)
    return access
  }
  beforeAll(async () => {
    server = await startPostgres()
    await server.query('CREATE DATABASE trial')
    await open()
  })
  afterAll(async () => {
    for (const access of opened) await access[Symbol.asyncDispose]()
    await server?.stop()
    await closeParsers()
  })
  const setUp = async (sql: string): Promise<void> => {
    await made(opened[0]).protect.client.query(sql)
  }
  return {
    get server() {
      return made(server)
    },
    get access() {
      return made(opened[0])
    },
    open,
    setUp,
    async fresh(sql) {
      for (const access of opened) {
        await access.release()
        await access.session.client.query('ROLLBACK; RESET ALL; DISCARD TEMP')
        await access.protect.client.query('ROLLBACK')
      }
      await setUp('DROP SCHEMA IF EXISTS t CASCADE; CREATE SCHEMA t')
      await setUp(sql)
    },
    rows: async (sql) => JSON.stringify(await made(opened[0]).protect.query(sql)),
  }
}
