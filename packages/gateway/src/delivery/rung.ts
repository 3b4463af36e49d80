import { formatDuration } from '@sallyport/console'
import type { EventType } from '@sallyport/core'
import { z } from 'zod'
import type { LoggedEvent, Receiver } from './receiver.ts'

export interface RungPorts {
  readonly source: { read(from: number, count: number): Promise<readonly LoggedEvent[]> }
  /** Who was rung about what, at whichever gate: they are told what became of it. */
  readonly posted: {
    get(name: string): string | null | Promise<string | null>
    set(name: string, value: string): void | Promise<void>
  }
}

const rungShape = z.object({
  request: z.string(),
  opened: z.int().min(0),
  receivers: z.array(z.string()),
  why: z.enum(['asked', 'unanswered', 'quiet_hours_over']),
  waitedMs: z.number(),
})
type Rung = z.infer<typeof rungShape>
const aboutShape = z.object({ request: z.string() })

/** One that hears of a question when it is rung about it, and not before; and of what became of it only if it was rung. Everything else it hears as ever. */
export function openRung(receiver: Receiver, ports: RungPorts): Receiver {
  const { name, wants } = receiver
  if (!wants.has('request.opened')) return receiver
  const ringing = new Set<EventType>([...wants, 'request.rung'])
  ringing.delete('request.opened')
  ringing.delete('request.held')
  return {
    ...receiver,
    wants: ringing,
    batchMax: 1,
    deliver: async (batch, signal) => {
      for (const logged of batch) {
        const told = await findTold(logged, name, ports)
        if (told === null) continue
        await receiver.deliver([told], signal)
        if (logged.event.type === 'request.rung') await ports.posted.set(keyOf(name, logged), 'rung')
      }
    },
  }
}

/** What is told of it; null: nothing. */
async function findTold(logged: LoggedEvent, name: string, ports: RungPorts): Promise<LoggedEvent | null> {
  const { event } = logged
  if (event.type !== 'request.rung')
    return event.type.startsWith('request.') && (await ports.posted.get(keyOf(name, logged))) === null ? null : logged
  const rung = rungShape.safeParse(event.data)
  if (!rung.success || !rung.data.receivers.includes(name)) return null
  const [opened] = await ports.source.read(rung.data.opened, 1)
  // The question itself, as it stands on the log: nothing of it is written down a second time.
  return opened === undefined ? null : { index: logged.index, event: opened.event, rung: sayWhy(rung.data) }
}

function keyOf(name: string, { event }: LoggedEvent): string {
  const about = aboutShape.safeParse(event.data)
  return `rung:${name}:${about.success ? about.data.request : ''}`
}

function sayWhy({ why, waitedMs }: Rung): string {
  switch (why) {
    case 'asked':
      return ''
    case 'unanswered':
      return `Nobody answered for ${formatDuration(waitedMs)}.`
    case 'quiet_hours_over':
      return `It has waited for ${formatDuration(waitedMs)}, until your quiet hours were over.`
  }
}
