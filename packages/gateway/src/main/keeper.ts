import { join } from 'node:path'
import { planKeeping } from '../keep-settings.ts'
import { clearLeftovers, Keeper, keptNames } from '../keeping/index.ts'
import type { GateOptions } from '../process.ts'
import { openProducer } from '../producers/index.ts'
import type { OpenPostgresUpstreams } from '../upstreams/postgres/index.ts'
import { random, type Foundations } from './foundations.ts'

/** What keeps whole things, each by the producer of its kind. */
export async function openKeeper(
  { config, folder, store, log, vault }: Foundations,
  databases: OpenPostgresUpstreams,
  report: GateOptions['report'],
): Promise<Keeper> {
  // Nobody waits for it: it may be a whole database.
  void clearLeftovers().catch(() => undefined)
  const plan = planKeeping(config, (place) => openProducer(place, (name) => databases.source(name)))
  const shelf = join(folder.directory, 'restored')
  const memory = await store.view(keptNames(plan.kept))
  const claim = async (name: string, forMs: number): Promise<boolean> => store.claim(name, forMs)
  const { clock } = store
  return new Keeper({ clock, random, log, vault, memory, claim, retainMs: config.retainMs, folder: shelf, report, ...plan })
}
