import type { ReceiverContext } from '../../packages/gateway/src/delivery/open.ts'
import { FakeClock } from './ports.ts'

/** For receivers that ask nothing of it. */
export const unusedContext: ReceiverContext = {
  origin: 'gate.test',
  siteUrl: () => 'http://localhost:6480',
  clock: new FakeClock(),
  waiting: () => Promise.resolve([]),
  posted: { get: () => null, set: () => undefined },
  source: { read: () => Promise.resolve([]) },
  memory: { get: () => null, set: () => undefined },
  bells: null,
}
