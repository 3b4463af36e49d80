import type { Grant, Requests } from '@sallyport/core'
import { z } from 'zod'
import { readGrant } from '../row.ts'
import type { Connection, Row } from './connection.ts'

const grantColumns = 'body, state, intent, settled'
const grantShape = z.object({ body: z.string(), state: z.string(), intent: z.string().nullable(), settled: z.boolean() })

/** Consumed for this intent, as far as anybody knows: the answer was lost on its way. */
interface Doubtful {
  readonly grant: string
  readonly intent: string
}

type GrantVerbs = 'findGrant' | 'consume' | 'giveBack' | 'voidGrant' | 'consumedGrants' | 'settle'

export interface SharedGrants extends Pick<Requests, GrantVerbs> {
  /** What was taken for a run that was then refused, since the store's answer was lost, is open again. */
  giveBackDoubtful(): Promise<void>
}

/** One-use grants that many gates share: a compare-and-set takes one, and what a gate took bears its name, so that no other gives it back. */
export function openGrants({ run }: Connection, gate: string): SharedGrants {
  let doubtful: readonly Doubtful[] = []
  return {
    findGrant: async (agent, digest) => {
      const row = (
        await run(
          `SELECT ${grantColumns} FROM grants WHERE agent = $1 AND digest = $2 ORDER BY (state = 'open') DESC, seq DESC LIMIT 1`,
          [agent, digest],
        )
      ).rows[0]
      return row === undefined ? null : grantOf(row)
    },
    consume: async (grant, intent) => {
      try {
        const { count } = await run(
          "UPDATE grants SET state = 'consumed', intent = $1, gate = $2 WHERE id = $3 AND state = 'open'",
          [intent, gate, grant],
        )
        return count === 1
      } catch (error) {
        doubtful = [...doubtful, { grant, intent }]
        throw error
      }
    },
    giveBack: async (grant) => {
      await run(
        "UPDATE grants SET state = 'open', intent = NULL, gate = NULL WHERE id = $1 AND state = 'consumed' AND NOT settled AND gate = $2",
        [grant, gate],
      )
    },
    giveBackDoubtful: async () => {
      const known = doubtful
      for (const { grant, intent } of known)
        await run(
          "UPDATE grants SET state = 'open', intent = NULL, gate = NULL WHERE id = $1 AND state = 'consumed' AND intent = $2 AND gate = $3",
          [grant, intent, gate],
        )
      doubtful = doubtful.filter((one) => !known.includes(one))
    },
    voidGrant: async (grant) => {
      await run("UPDATE grants SET state = 'void' WHERE id = $1 AND state = 'open'", [grant])
    },
    consumedGrants: async () => {
      const { rows } = await run(
        `SELECT ${grantColumns} FROM grants WHERE state = 'consumed' AND NOT settled AND gate = $1 ORDER BY seq`,
        [gate],
      )
      return rows.map(grantOf)
    },
    settle: async (grant) => {
      await run('UPDATE grants SET settled = true WHERE id = $1 AND gate = $2', [grant, gate])
    },
  }
}

const grantBody = z.looseObject({ targets: z.array(z.string()), approvers: z.array(z.string()) })

/** Who approved a grant, by the part of it that never changes. */
export function approversOf(body: unknown): readonly string[] {
  return grantBody.parse(JSON.parse(String(body))).approvers
}

/** The rest of a grant never changes; how it stands is in columns of its own. */
function grantOf(row: Row): Grant {
  const { body, state, intent, settled } = grantShape.parse(row)
  const rest = grantBody.parse(JSON.parse(body))
  const { targets, approvers } = rest
  return readGrant({ ...rest, targets: JSON.stringify(targets), approvers: JSON.stringify(approvers), state, intent, settled })
}
