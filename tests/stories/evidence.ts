import { expect } from 'vitest'
import { z } from 'zod'
import type { Event } from '@sallyport/core'
import type { TestGate } from '../servers/gate.ts'
import type { PostgresServer } from '../servers/postgres.ts'

/** A story starts servers and browsers on a machine that may be at other work: nothing here is a figure, and nothing hangs for longer. */
export const patience = { testTimeout: 240_000, hookTimeout: 240_000 } as const

/** What the server itself says of tables, asked around the gate: counts and checksums over all rows, in an order that depends on them alone. */
export async function checksums(
  postgres: PostgresServer,
  tables: readonly string[],
  database?: string,
): Promise<Readonly<Record<string, string>>> {
  const found: Record<string, string> = {}
  for (const table of tables) found[table] = await checksum(postgres, table, database)
  return found
}

async function checksum(postgres: PostgresServer, table: string, database?: string): Promise<string> {
  const [there] = await postgres.query('SELECT to_regclass($1) IS NOT NULL AS there', [table], database)
  if (there?.['there'] !== true) return 'not there'
  const sum = `SELECT count(*) || ' rows, md5 ' || coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '-') AS sum FROM ${table} t`
  const [row] = await postgres.query(sum, [], database)
  return String(row?.['sum'])
}

const snapshotsShape = z.object({
  snapshots: z.array(
    z.object({ id: z.string(), kind: z.string(), rows: z.number(), madeAtMs: z.number(), retainUntilMs: z.number() }),
  ),
})
export type ListedSnapshot = z.infer<typeof snapshotsShape>['snapshots'][number]

/** The copies that the vault holds, newest last. */
export async function listSnapshots(gate: TestGate): Promise<readonly ListedSnapshot[]> {
  const { snapshots } = await gate.get('/api/v1/snapshots', snapshotsShape)
  return snapshots.toSorted((left, right) => left.madeAtMs - right.madeAtMs)
}

const undoneShape = z.object({ rows: z.number(), tables: z.array(z.string()), verified: z.boolean() })

/** Puts a copy back by the operator's API, as `sallyport undo` does. */
export function undo(gate: TestGate, snapshotId: string): Promise<z.infer<typeof undoneShape>> {
  return gate.post('/api/v1/undo', { snapshotId }, undoneShape)
}

const requestShape = z.object({
  id: z.string(),
  state: z.string(),
  approvals: z.array(z.object({ person: z.string() })),
  question: z.object({
    operations: z.array(z.object({ action: z.string(), kind: z.string(), rows: z.number().nullable() })),
    rowsMax: z.number().nullable(),
    copy: z.string(),
    approvalsNeeded: z.number(),
    delayMs: z.number(),
  }),
  notBeforeMs: z.number().nullable(),
})
export type ShownRequest = z.infer<typeof requestShape>

export function readRequest(gate: TestGate, id: string): Promise<ShownRequest> {
  return gate.get(`/api/v1/requests/${id}`, requestShape)
}

/** Events of one type on the log's disk. */
export function eventsOf(gate: TestGate, type: Event['type']): readonly Event[] {
  return gate.events().filter((event) => event.type === type)
}

/** A text field of an event; empty when it has none of that name. */
export function textOf(event: Event | undefined, field: string): string {
  const value = event?.data[field]
  return typeof value === 'string' ? value : ''
}

/** SQLSTATE of a statement that waits for people. */
export const waits = 'SP001'

/** A refused statement that opened a question: its request. */
export function requestOf(ran: { readonly sqlState: string; readonly request: string; readonly message: string }): string {
  expect(ran, ran.message).toMatchObject({ sqlState: waits })
  expect(ran.request).toMatch(/^[0-9a-f]{32}$/)
  return ran.request
}

const refusals = new Set([waits, '42501', '0A000', '54000'])

/** That it was refused or waits. Gives the kinds that people were told, and withdraws the question, so that no flood of them ends the test. */
export async function kindsAsked(
  gate: TestGate,
  sql: string,
  ran: { readonly sqlState: string; readonly request: string; readonly message: string },
): Promise<readonly string[]> {
  expect(refusals.has(ran.sqlState), `${sql}: ${ran.sqlState} ${ran.message}`).toBe(true)
  if (ran.sqlState !== waits) return []
  const { question } = await readRequest(gate, ran.request)
  await cancel(gate, ran.request)
  return question.operations.map(({ kind }) => kind)
}

/** The operator's way to withdraw a question, or an approval that has not run yet. */
export async function cancel(gate: TestGate, request: string): Promise<boolean> {
  const { cancelled } = await gate.post(`/api/v1/requests/${request}/cancel`, {}, z.object({ cancelled: z.boolean() }))
  return cancelled
}
