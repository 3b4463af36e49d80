import type { VaultView } from '@sallyport/console'
import type { Site } from './site.ts'

const copiesListed = 500
const thingsListed = 12

/** What lies in the vault, newest first. What cannot be asked for is named, and the rest shown. */
export async function viewVault({ ports }: Site): Promise<VaultView> {
  const { control, clock } = ports
  const problems: string[] = []
  const orEmpty = async <One>(what: string, asked: Promise<readonly One[]>): Promise<readonly One[]> => {
    try {
      return await asked
    } catch {
      problems.push(`${what} could not be asked for.`)
      return []
    }
  }
  const [copies, kept, moved] = await Promise.all([
    orEmpty('The copies', control.snapshots()),
    control.vaultTargets(),
    orEmpty('What was moved out of reach', control.quarantined()),
  ])
  if (kept.problem !== null) problems.push(kept.problem)
  return {
    nowMs: clock.nowMs(),
    copies: copies
      .toSorted((left, right) => right.madeAtMs - left.madeAtMs)
      .slice(0, copiesListed)
      .map(({ id, kind, upstream, madeAtMs, rows, bytes, checksums, retainUntilMs }) => {
        const things = Object.keys(checksums)
        return {
          id,
          kind,
          upstream,
          madeAtMs,
          rows,
          bytes,
          things: things.slice(0, thingsListed),
          thingsInAll: things.length,
          retainUntilMs,
        }
      }),
    copiesInAll: copies.length,
    bytesInAll: copies.reduce((sum, { bytes }) => sum + bytes, 0),
    targets: kept.targets,
    storage: kept.storage,
    holds: kept.holds.slice(0, copiesListed),
    worth: kept.worth,
    quarantined: moved.slice(0, copiesListed).map(viewMoved),
    problems,
  }
}

type Moved = Awaited<ReturnType<Site['ports']['control']['quarantined']>>[number]

function viewMoved({ upstream, things, untilMs }: Moved): VaultView['quarantined'][number] {
  return { upstream, name: things.join(', '), untilMs }
}
