import type { SqlChannel } from '@sallyport/core'
import { z } from 'zod'
import { oidArray } from './catalog-name.ts'
import { attempt, readJson } from './catalog-query.ts'

const activitySchema = z.object({
  /** Rows inserted, updated and deleted since the server's statistics began; null where it keeps none. */
  written: z.number().nullable(),
  scans: z.number().nullable(),
  /** Seconds since the last of those; null where the server (before 16) does not say, or there was none. */
  readSeconds: z.number().nullable(),
  tables: z.number(),
})
export type Activity = z.infer<typeof activitySchema>

/**
 * By JSON, since the columns differ from version to version. The gate's own count is a scan like any other, so this is read before it; what
 * another session wrote a moment ago may not be in it yet.
 */
const activitySql = `SELECT json_build_object('tables', count(*), 'written', sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del),
    'scans', sum(coalesce(s.seq_scan, 0) + coalesce(s.idx_scan, 0)),
    'readSeconds', extract(epoch FROM clock_timestamp() - max(greatest((to_jsonb(s) ->> 'last_seq_scan')::timestamptz, (to_jsonb(s) ->> 'last_idx_scan')::timestamptz))))::text
  FROM pg_stat_all_tables s WHERE s.relid = ANY ($1::oid[])`

/** Whether these tables are in use, as far as the server counts it; null when that can't be told. */
export async function readActivity(protect: SqlChannel, oids: readonly string[]): Promise<Activity | null> {
  if (oids.length === 0) return null
  const read = await attempt(protect, () => readJson(protect, activitySchema, activitySql, [oidArray(oids)]))
  return read.ok && read.out.tables > 0 ? read.out : null
}

/** "; in use: last read 4 s ago, 1,204 rows written since the server began to count". */
export function sayActivity(activity: Activity | null): string {
  if (activity === null || activity.written === null || activity.scans === null) return ''
  const { written, scans, readSeconds } = activity
  if (written === 0 && scans === 0) return '; not read or written since the server began to count'
  const count = (value: number, one: string): string => `${value.toLocaleString('en-US')} ${one}${value === 1 ? '' : 's'}`
  const read =
    scans === 0 ? 'never read' : readSeconds === null ? `read ${count(scans, 'time')}` : `last read ${sayAgo(readSeconds)}`
  return `; ${read}, ${count(written, 'row')} written since the server began to count`
}

function sayAgo(seconds: number): string {
  if (seconds < 120) return `${Math.max(0, Math.round(seconds))} s ago`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min ago`
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h ago`
  return `${Math.round(seconds / 86_400)} days ago`
}
