import type { ShownChange } from '../shapes/policy.ts'

/** A change that another page offered: the policy's page begins with it, and forgets it when it is left. */
let offered: ShownChange | null = null

export function offerChange(change: ShownChange): void {
  offered = change
}

export function offeredChange(): ShownChange | null {
  return offered
}

export function forgetChange(): void {
  offered = null
}
