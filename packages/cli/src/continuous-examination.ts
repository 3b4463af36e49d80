import { z } from 'zod'
import { visibleLine } from '@sallyport/core'
import { connectControl } from './control-client.ts'
import { bad, good, note, type Finding } from './finding.ts'

const statusShape = z.object({
  nowMs: z.number(),
  continuous: z
    .array(
      z.object({
        upstream: z.string(),
        state: z.enum(['starting', 'streaming', 'stalled', 'waiting', 'impossible']),
        why: z.string().nullable(),
        durableLsn: z.string().nullable(),
        durableAtMs: z.number().nullable(),
        behindBytes: z.number().nullable(),
        base: z.object({ snapshot: z.string(), atMs: z.number() }).nullable(),
        provenAtMs: z.number().nullable(),
      }),
    )
    .default([]),
})
export type ContinuousState = z.infer<typeof statusShape>['continuous'][number]
/** The gate holds about so much of WAL that the vault has not taken, and no more; the server keeps the rest. */
const behindBytesMax = 8 << 20

/** How continuous protection stands, an upstream each, as the running gate says it. */
export async function examineContinuous(stateDirectory: string): Promise<readonly Finding[]> {
  return (await readContinuous(stateDirectory)).map(judgeContinuous)
}

/** Empty where no gate answers. */
export async function readContinuous(stateDirectory: string): Promise<readonly ContinuousState[]> {
  try {
    const control = await connectControl(stateDirectory)
    return (await control.get('/api/v1/status', statusShape)).continuous
  } catch {
    return []
  }
}

export function judgeContinuous(status: ContinuousState): Finding {
  const { state, why, base, provenAtMs, durableLsn, durableAtMs, behindBytes } = status
  const upstream = visibleLine(status.upstream)
  const reason = visibleLine(why ?? '')
  switch (state) {
    case 'impossible':
      return bad(
        'continuous',
        `${upstream} is not protected continuously: ${reason}`,
        'Do what it says, or take `continuous` away.',
      )
    case 'stalled':
    case 'waiting':
      return bad(
        'continuous',
        `Of ${upstream} nothing new goes into the vault: ${reason}`,
        'The gate tries again by itself; the server keeps its WAL until then.',
      )
    case 'starting':
      return note('continuous', `Continuous protection of ${upstream} begins.`, null)
    case 'streaming': {
      if ((behindBytes ?? 0) >= behindBytesMax)
        return bad(
          'continuous',
          `The vault is ${(behindBytes ?? 0).toLocaleString('en')} bytes behind ${upstream}: it takes WAL more slowly than the server writes it.`,
          'The server keeps the rest for its slot: look at the vault’s disk, and at max_slot_wal_keep_size.',
        )
      const at = durableAtMs === null ? '' : ` at ${new Date(durableAtMs).toISOString()}`
      const what = `WAL of ${upstream} is in the vault up to ${durableLsn ?? 'nothing yet'}${at}, ${(behindBytes ?? 0).toLocaleString('en')} bytes behind.`
      if (base === null) return note('continuous', `${what} There is no base copy yet.`, null)
      if (provenAtMs === null)
        return note('continuous', `${what} No restore of it was proven yet.`, 'sallyport log shows what the last drill said')
      return good('continuous', `${what} A restore of it was proven at ${new Date(provenAtMs).toISOString()}.`)
    }
  }
}
