import type { ShownChange } from '../shapes/policy.ts'

/** A change that another page offered, until the policy's page takes it up: once. */
let offered: ShownChange | null = null

export function offerChange(change: ShownChange): void {
  offered = change
}

export function takeChange(): ShownChange | null {
  const taken = offered
  offered = null
  return taken
}
