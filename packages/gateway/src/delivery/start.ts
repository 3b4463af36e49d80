import type { Delivery, DeliveryPorts } from './delivery.ts'
import type { ReceiverContext, ReceiverSettings } from './open.ts'

/** Who outside is told what happens; nothing of it is loaded where nobody is. */
export async function startDelivery(
  ports: DeliveryPorts,
  receivers: readonly ReceiverSettings[],
  about: Pick<ReceiverContext, 'origin' | 'siteUrl'>,
): Promise<Delivery | null> {
  if (receivers.length === 0) return null
  const [{ Delivery }, { openReceivers }] = await Promise.all([import('./delivery.ts'), import('./open.ts')])
  const context = { ...about, nowMs: () => ports.clock.nowMs(), memory: ports.memory }
  const delivery = new Delivery(ports, openReceivers(receivers, context))
  delivery.start()
  return delivery
}
