import type { BellPorts } from './bell.ts'
import type { Delivery, DeliveryHealth, DeliveryPorts } from './delivery.ts'
import { receiversOf, type RingPlan } from './open-question.ts'
import type { ReceiverContext, ReceiverSettings } from './open.ts'

export interface Deliveries {
  health(): readonly DeliveryHealth[]
  close(): Promise<void>
}

export interface DeliveriesAbout extends Omit<ReceiverContext, 'clock' | 'memory' | 'source' | 'bells'> {
  readonly requests: BellPorts['requests']
  /** Null: everybody is told at once. */
  readonly rings: RingPlan | null
}

/** Who outside is told what happens; nothing of it is loaded where nobody is. */
export async function startDelivery(
  ports: DeliveryPorts,
  receivers: readonly ReceiverSettings[],
  { rings, requests, ...about }: DeliveriesAbout,
): Promise<Deliveries | null> {
  if (receivers.length === 0) return null
  const [{ Delivery }, { openReceivers }, { Bell }] = await Promise.all([
    import('./delivery.ts'),
    import('./open.ts'),
    import('./bell.ts'),
  ])
  const { clock, memory, source } = ports
  const bells = rings === null ? null : new Set(rings.steps.flatMap(receiversOf))
  const delivery: Delivery = new Delivery(ports, openReceivers(receivers, { ...about, clock, memory, source, bells }))
  const bell = new Bell({ ...ports, requests }, rings)
  delivery.start()
  bell.start()
  return {
    health: () => delivery.health(),
    close: async () => {
      await Promise.all([bell.close(), delivery.close()])
    },
  }
}
