import { type EntryView, type LogPage, shownLineOf } from '@sallyport/console'
import { type Event, eventJson, type EventType, type Json } from '@sallyport/core'
import { z } from 'zod'
import type { Overview, Recorded } from './overview.ts'
import type { Site } from './site.ts'

const linesMax = 100
/** Entries that one question may look through; it says how far it came, and the next goes on from there. */
const scanMax = 3_000
const batch = 250
/** How far on either side of an event the rest of its operation is looked for. */
const storySpan = 1_500
const storyMax = 200

const groups: Readonly<Record<'operations' | 'requests' | 'copies' | 'access' | 'alarms', ReadonlySet<EventType>>> = {
  operations: new Set(['statement', 'reads', 'decision', 'intent', 'outcome', 'undo']),
  requests: new Set([
    'request.opened',
    'request.approved',
    'request.rejected',
    'request.cancelled',
    'request.expired',
    'verdict',
    'verdict.refused',
    'grant.made',
    'grant.returned',
    'grant.void',
  ]),
  copies: new Set([
    'snapshot.sealed',
    'snapshot.failed',
    'snapshot.expired',
    'protection.began',
    'protection.broken',
    'restore_point',
    'quarantine.purge',
    'quarantine.purged',
    'quarantine.kept',
    'drill',
  ]),
  access: new Set([
    'session.opened',
    'session.closed',
    'handle.issued',
    'handle.narrowed',
    'handle.revoked',
    'door.refused',
    'person.enrolled',
    'person.removed',
    'passkey.added',
    'passkey.removed',
    'code.added',
    'code.removed',
  ]),
  alarms: new Set(['alarm', 'kill', 'release', 'verdict.refused', 'delivery.failed', 'protection.broken', 'quarantine.kept']),
}

/** What may be asked of the log. */
export const logQueryShape = z.strictObject({
  before: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  text: z.string().max(200).default(''),
  group: z.enum(['all', 'operations', 'requests', 'copies', 'access', 'alarms']).default('all'),
  agent: z.string().max(256).default(''),
})
type LogQuery = z.infer<typeof logQueryShape>

/** Searches backwards from `before`, newest first, and stops after so many lines or entries. */
export async function searchLog({ ports }: Site, query: LogQuery): Promise<LogPage> {
  const { record } = ports.overview
  const size = record.size()
  const start = Math.min(query.before ?? size, size)
  const found: Recorded[] = []
  let next = start
  while (next > 0 && found.length < linesMax && start - next < scanMax) {
    const from = Math.max(0, next - batch)
    const records = (await record.read(from, next - from)).toReversed()
    next = from
    for (const one of records) {
      if (!isWanted(query, one.event)) continue
      found.push(one)
      // The rest of the batch is looked at again by the next question.
      if (found.length === linesMax) next = one.index
      if (found.length === linesMax) break
    }
  }
  return {
    nowMs: ports.clock.nowMs(),
    size,
    lines: found.map(({ index, event }) => shownLineOf(index, event)),
    nextBefore: next > 0 ? next : null,
    scanned: start - next,
  }
}

function isWanted({ text, group, agent }: LogQuery, event: Event): boolean {
  if (group !== 'all' && !groups[group].has(event.type)) return false
  if (agent !== '' && event.agent !== agent) return false
  return text === '' || JSON.stringify(eventJson(event)).toLowerCase().includes(text.toLowerCase())
}

/** One event, whole, and the others of the same operation. Null: there is no such entry. */
export async function viewEntry({ ports }: Site, index: number): Promise<EntryView | null> {
  const { record } = ports.overview
  const [found] = await record.read(index, 1)
  if (found === undefined || found.index !== index) return null
  return {
    nowMs: ports.clock.nowMs(),
    line: shownLineOf(index, found.event),
    event: JSON.stringify(eventJson(found.event), null, 2),
    story: (await findStory(record, found)).map((one) => shownLineOf(one.index, one.event)),
  }
}

const linking = ['digest', 'intent', 'request', 'plan', 'grant', 'statement'] as const

/** The ids by which events of one operation name each other. */
function linksOf({ data }: Event): readonly string[] {
  const question = data['question']
  const asked = isObject(question) ? [question['digest']] : []
  return [...linking.map((name) => data[name]), ...asked]
    .filter((value) => typeof value === 'string')
    .filter((value) => value !== '')
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What is named together with something known is known, too. */
function addLinks(near: readonly Recorded[], links: Set<string>): void {
  for (const { event } of near) {
    const own = linksOf(event)
    if (own.some((link) => links.has(link))) for (const link of own) links.add(link)
  }
}

/** Twice through the neighbourhood: an outcome names its intent, which names the digest that the question has. */
async function findStory(record: Overview['record'], found: Recorded): Promise<readonly Recorded[]> {
  const links = new Set(linksOf(found.event))
  if (links.size === 0) return [found]
  const near: Recorded[] = []
  const end = Math.min(record.size(), found.index + storySpan)
  for (let from = Math.max(0, found.index - storySpan); from < end; from += batch)
    near.push(...(await record.read(from, Math.min(batch, end - from))))
  addLinks(near, links)
  addLinks(near, links)
  return near
    .filter(({ event, index }) => index === found.index || linksOf(event).some((link) => links.has(link)))
    .slice(0, storyMax)
}
