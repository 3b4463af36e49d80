import { join } from 'node:path'
import { wallClock as clock } from '../access/clock.ts'
import { planKeeping } from '../keep-settings.ts'
import { clearLeftovers, Keeper } from '../keeping/index.ts'
import type { GateOptions } from '../process.ts'
import { openProducer } from '../producers/index.ts'
import { openMeta } from '../store/meta.ts'
import type { OpenPostgresUpstreams } from '../upstreams/postgres/index.ts'
import { random, type Foundations } from './foundations.ts'

/** What keeps whole things, each by the producer of its kind. */
export function openKeeper(
  { config, folder, database, log, vault }: Foundations,
  databases: OpenPostgresUpstreams,
  report: GateOptions['report'],
): Keeper {
  // Nobody waits for it: it may be a whole database.
  void clearLeftovers().catch(() => undefined)
  const plan = planKeeping(config, (place) => openProducer(place, (name) => databases.source(name)))
  const shelf = join(folder.directory, 'restored')
  const memory = openMeta(database)
  return new Keeper({ clock, random, log, vault, memory, retainMs: config.retainMs, folder: shelf, report, ...plan })
}
