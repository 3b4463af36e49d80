import { z } from 'zod'
import { duration } from './config-value.ts'

/** What becomes of old entries of the log. */
export const logSchema = z
  .strictObject({
    /** Entries older than this are sealed into the vault. Absent: none are. */
    archiveAfter: duration.exactOptional(),
    /** How long the vault must keep them. */
    archiveFor: duration.prefault('3650d'),
    /** Whether they are dropped here once the vault gave all of them back. */
    dropArchived: z.boolean().default(false),
  })
  .refine(
    ({ archiveAfter, dropArchived }) => archiveAfter !== undefined || !dropArchived,
    'dropArchived drops what was archived: say after which time that is, by archiveAfter',
  )
export type LogConfig = z.infer<typeof logSchema>

/** What of it can only keep more without being asked for. `forMs`: 0 where nothing is archived. */
export const acceptedLogShape = z.strictObject({ forMs: z.number(), drops: z.boolean() })
type AcceptedLog = z.infer<typeof acceptedLogShape>

export function acceptedLogOf({ archiveAfter, archiveFor, dropArchived }: LogConfig): AcceptedLog {
  return { forMs: archiveAfter === undefined ? 0 : archiveFor, drops: dropArchived }
}

/** What keeps less of the log, or for less long. */
export function findLogWidenings(before: AcceptedLog, after: AcceptedLog): readonly string[] {
  const days = (ms: number): number => Math.floor(ms / 86_400_000)
  return [
    ...(after.drops && !before.drops ? ['log: old entries are dropped here once the vault has them'] : []),
    ...(after.forMs < before.forMs
      ? [`log: the vault keeps old entries for ${days(after.forMs)} days, not ${days(before.forMs)}`]
      : []),
  ]
}
