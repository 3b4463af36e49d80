import type { TestGate } from '../servers/gate.ts'

export interface Answer {
  readonly status: number
  readonly text: string
}

/** A request of anybody on the machine, as it stands, to the people's listener. */
export async function askAsAnybody(gate: TestGate, path: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(new URL(path, gate.controlUrl), { ...init, redirect: 'manual' })
  return { status: response.status, text: await response.text() }
}
