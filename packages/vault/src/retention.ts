import { z } from 'zod'
import type { CopyStore } from './copy-store.ts'
import { hex64 } from './manifest.ts'
import { readRecords, type RecordKind, type ReportDamage } from './signed-record.ts'

/** A copy can be asked to be kept for this long at most: what is locked can't be freed, so a slip must not fill the disk for good. */
export const retainMsMax = 100 * 366 * 86_400_000

const time = z.int().min(0)
const sequence = z.int().min(1)
const digits = (count: number, value: number): string => String(value).padStart(count, '0')

const retentionSchema = z.strictObject({ v: z.literal(1), snapshot: hex64, retainUntilMs: time, atMs: time })
/** A promise to keep a snapshot for longer. It only ever adds: the latest of all records and the manifest counts. */
export const retentionRecord: RecordKind<z.infer<typeof retentionSchema>> = {
  domain: 'retention',
  prefix: 'retention/',
  schema: retentionSchema,
  nameOf: ({ snapshot, retainUntilMs }) => `${snapshot}-${digits(16, retainUntilMs)}`,
}

const holdSchema = z.strictObject({
  v: z.literal(1),
  snapshot: hex64,
  held: z.boolean(),
  atMs: time,
  reason: z.string().max(512),
})
export type Hold = z.infer<typeof holdSchema>
/** A legal hold begins or ends. The latest record of a snapshot counts. */
export const holdRecord: RecordKind<Hold> = {
  domain: 'hold',
  prefix: 'holds/',
  schema: holdSchema,
  nameOf: ({ snapshot, atMs }) => `${snapshot}-${digits(16, atMs)}`,
}

const expirySchema = z.strictObject({
  v: z.literal(1),
  snapshot: hex64,
  sequence,
  previous: hex64.nullable(),
  upstream: z.string().max(256),
  madeAtMs: time,
  retainUntilMs: time,
  atMs: time,
  agedMs: time,
})
export type Expiry = z.infer<typeof expirySchema>
/** A snapshot whose retention had ended was let go: why its number is missing. Written before anything is removed. */
export const expiryRecord: RecordKind<Expiry> = {
  domain: 'expired',
  prefix: 'expired/',
  schema: expirySchema,
  nameOf: ({ sequence: number, snapshot }) => `${digits(12, number)}-${snapshot}`,
}

/** Snapshot → until when all records together promise to keep it. */
export async function readRetained(
  stores: readonly CopyStore[],
  publicKey: string,
  report: ReportDamage,
): Promise<ReadonlyMap<string, number>> {
  const retained = new Map<string, number>()
  for await (const { snapshot, retainUntilMs } of readRecords(stores, publicKey, retentionRecord, report))
    retained.set(snapshot, Math.max(retainUntilMs, retained.get(snapshot) ?? 0))
  return retained
}

/** Snapshots that are held now, and why. */
export async function readHolds(
  stores: readonly CopyStore[],
  publicKey: string,
  report: ReportDamage,
): Promise<ReadonlyMap<string, Hold>> {
  const latest = new Map<string, Hold>()
  // In the order of their names, which is that of their times.
  for await (const hold of readRecords(stores, publicKey, holdRecord, report)) latest.set(hold.snapshot, hold)
  return new Map([...latest].filter(([, hold]) => hold.held))
}

/** What was let go, oldest first. */
export async function readExpiries(
  stores: readonly CopyStore[],
  publicKey: string,
  report: ReportDamage,
): Promise<readonly Expiry[]> {
  const expiries: Expiry[] = []
  for await (const expiry of readRecords(stores, publicKey, expiryRecord, report)) expiries.push(expiry)
  return expiries
}
