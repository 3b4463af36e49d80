import type { Listener } from '@sallyport/core'

export async function closeAll(listeners: readonly Listener[]): Promise<void> {
  await Promise.all(listeners.map((listener) => listener.close()))
}

export function addressOf(listener: Listener | undefined): string | null {
  return listener === undefined ? null : `${listener.address.host}:${listener.address.port}`
}
