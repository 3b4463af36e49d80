import { signInsMax } from '../sign-ins.ts'
import type { Connection } from './connection.ts'

export interface SharedSignIns {
  keep(idSha256: string, body: string, untilMs: number, nowMs: number): Promise<void>
  take(idSha256: string, nowMs: number): Promise<string | null>
}

/** Begun at one gate and ended at any, once over all of them. */
export function openSignIns({ run }: Connection): SharedSignIns {
  return {
    keep: async (idSha256, body, untilMs, nowMs) => {
      await run(
        `DELETE FROM sign_ins WHERE until_ms <= $1
         OR id_sha256 IN (SELECT id_sha256 FROM sign_ins ORDER BY until_ms DESC OFFSET $2)`,
        [nowMs, signInsMax - 1],
      )
      await run('INSERT INTO sign_ins (id_sha256, until_ms, body) VALUES ($1, $2, $3)', [idSha256, untilMs, body])
    },
    take: async (idSha256, nowMs) => {
      const { rows } = await run('DELETE FROM sign_ins WHERE id_sha256 = $1 RETURNING body, until_ms', [idSha256])
      return rows[0] === undefined || Number(rows[0]['until_ms']) <= nowMs ? null : String(rows[0]['body'])
    },
  }
}
