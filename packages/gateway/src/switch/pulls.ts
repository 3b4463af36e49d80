import type { KillOrder } from './order.ts'
import type { Halt, KillEar, SwitchSettings, SwitchThread } from './switch-thread.ts'
import { startSwitch } from './switch-thread.ts'

/** The gate's own view of its kills, which every forward asks. `What` is whatever it stops. */
export interface Kills<What> {
  stopNow(kind: KillOrder['kind'], name: string, reason: string, what: What, drain: boolean): number
  writeDown(order: KillOrder, halt: Halt, what: What): Promise<{ readonly kill: { readonly id: number } }>
  listenTo(ear: KillEar): void
}

/** The switch of its own thread and listener, over the same state that the people's API pulls. */
export async function pullFromOutside<What>(
  kills: Kills<What>,
  what: What,
  settings: Pick<SwitchSettings, 'directory' | 'token' | 'nowMs' | 'isShared' | 'gates' | 'report'>,
): Promise<SwitchThread> {
  const thread = await startSwitch({
    ...settings,
    stop: ({ kind, name, reason, drain }) => kills.stopNow(kind, name, reason, what, drain),
    write: async (order, halt) => (await kills.writeDown(order, halt, what)).kill.id,
    deaf: (reason) => void kills.stopNow('all', '', reason, what, false),
  })
  kills.listenTo(thread)
  return thread
}
