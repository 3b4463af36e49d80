import { useSyncExternalStore } from 'react'
import { type SignsView, signsShape } from '../shapes/now.ts'
import { ask } from './api.ts'
import { currentLive, subscribeLive } from './live.ts'

/** A busy gate changes all the time: asked again so long after a change. */
const settleMs = 700

let signs: SignsView | null = null
let seen = -1
let timer: ReturnType<typeof setTimeout> | null = null
const listeners = new Set<() => void>()

async function read(): Promise<void> {
  timer = null
  seen = currentLive().changes
  // What cannot be read now is read at the next change; that the gate is silent is said by the stream.
  signs = await ask('/console/data/signs', signsShape).catch(() => signs)
  for (const listener of listeners) listener()
}

/** One that is due already reads what changed meanwhile too: changes that never end must not put it off for ever. */
function follow(): void {
  if (timer === null && seen !== currentLive().changes) timer = setTimeout(() => void read(), seen < 0 ? 0 : settleMs)
}

/** How many wait and what is stopped, kept fresh on every page. Without a library: it is loaded before anything is painted. */
export function useSigns(): SignsView | null {
  return useSyncExternalStore(subscribe, () => signs)
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  const stop = subscribeLive(follow)
  follow()
  return () => {
    listeners.delete(listener)
    stop()
  }
}
