import type { Connection } from './connection.ts'

/** Tokens of others that were taken for a handle: each counts once, over all gates. */
export interface SharedTokens {
  use(names: readonly string[], untilMs: number, nowMs: number): Promise<'first' | 'used' | 'full'>
}

const namesMax = 100_000
/** Of two that bring the same names at once, one waits for the other. */
const lockKey = [0x5a11, 0x70c3] as const

export function openUsedTokens({ transact }: Connection): SharedTokens {
  return {
    use: (names, untilMs, nowMs) =>
      transact(async (run) => {
        await run('SELECT pg_advisory_xact_lock($1, $2)', lockKey)
        await run('DELETE FROM used_tokens WHERE until_ms <= $1', [nowMs])
        const known = await run('SELECT 1 FROM used_tokens WHERE name = ANY($1) LIMIT 1', [names])
        if (known.count > 0) return 'used'
        const { rows } = await run('SELECT count(*) AS kept FROM used_tokens')
        if (Number(rows[0]?.['kept'] ?? Infinity) + names.length > namesMax) return 'full'
        await run('INSERT INTO used_tokens (name, until_ms) SELECT name, $2 FROM unnest($1::text[]) AS name', [names, untilMs])
        return 'first'
      }),
  }
}
