import { join } from 'node:path'
import { wallClock as clock } from '../access/clock.ts'
import { beginOwn } from '../access/reach.ts'
import { planKeeping } from '../keep-settings.ts'
import { Keeper } from '../keeping/index.ts'
import type { GateOptions } from '../process.ts'
import { openProducer, type DumpSource } from '../producers/index.ts'
import { openMeta } from '../store/meta.ts'
import { readTarget, type OpenPostgresUpstreams } from '../upstreams/postgres/index.ts'
import type { resolvePostgres } from '../upstream-settings.ts'
import { random, type Foundations } from './foundations.ts'

/** What keeps whole things, each by the producer of its kind. */
export function openKeeper(
  { config, folder, database, log, vault }: Foundations,
  secrets: Awaited<ReturnType<typeof resolvePostgres>>,
  databases: OpenPostgresUpstreams,
  report: GateOptions['report'],
): Keeper {
  const source = (name: string): DumpSource => {
    const url = secrets.find((one) => one.name === name)?.protectUrl ?? ''
    return { target: readTarget(name, url), begin: () => beginOwn(databases, name) }
  }
  const plan = planKeeping(config, (place) => openProducer(place, source))
  const shelf = join(folder.directory, 'restored')
  const memory = openMeta(database)
  return new Keeper({ clock, random, log, vault, memory, retainMs: config.retainMs, folder: shelf, report, ...plan })
}
