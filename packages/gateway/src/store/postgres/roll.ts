import { z } from 'zod'
import type { Roll } from '../store.ts'
import type { Connection } from './connection.ts'

/** More than this is not told: every gate reads all of it. */
const aboutBytesMax = 256 * 1024
/** Listed; one that has been gone for a day is not missed any more. */
const gatesMax = 100
const rowShape = z.object({ gate: z.string(), lost: z.boolean(), seenMsAgo: z.number(), about: z.string().nullable() })

export function openRoll(
  { run }: Connection,
  { gate, life, leaseMs }: { readonly gate: string; readonly life: string; readonly leaseMs: number },
): Roll {
  return {
    tell: async (about) => {
      if (Buffer.byteLength(about) > aboutBytesMax) throw new RangeError('a gate tells too much of itself')
      await run('UPDATE gates SET about = $3, told = clock_timestamp() WHERE id = $1 AND life = $2', [gate, life, about])
    },
    list: async () => {
      const { rows } = await run(
        `SELECT id AS gate, lost, greatest(0, extract(epoch FROM clock_timestamp() - seen) * 1000)::float8 AS "seenMsAgo", about
         FROM gates WHERE NOT lost OR seen > clock_timestamp() - interval '1 day' ORDER BY id LIMIT $1`,
        [gatesMax],
      )
      const schema = await run('SELECT max(version) AS version FROM schema_steps')
      return {
        schema: Number(schema.rows[0]?.['version'] ?? 0),
        leaseMs,
        gates: rows
          .map((row) => rowShape.parse(row))
          .map(({ lost, seenMsAgo, ...line }) => ({
            ...line,
            seenMsAgo: Math.round(seenMsAgo),
            isLive: !lost && seenMsAgo < leaseMs,
          })),
      }
    },
  }
}
