import { MessagePort } from 'node:worker_threads'

/**
 * What the switch's own thread is given and told, read without a library: that thread loads nothing but what Node has, so that it is up first,
 * nothing that somebody else wrote can stop it, and a gate at rest holds 8 MiB less.
 */
export const killKinds = ['session', 'agent', 'owner', 'upstream', 'all'] as const
type KillKind = (typeof killKinds)[number]

/** Places in the memory that both threads see. */
export const words = { pulled: 0, beat: 1 } as const
export const wordCount = 2

/** Characters of what a kill names, and of why. */
export const nameMax = 256
export const reasonMax = 1000

/** What the switch's thread is given. */
export interface SwitchData {
  readonly recordPath: string
  readonly socketPath: string
  /** Its presence is a kill of everything. */
  readonly filePath: string
  readonly tokenSha256: string
  readonly leaseMs: number
  /** Other gates share the store: once it has a kill, all of them have stopped it. */
  readonly isShared: boolean
  readonly memory: SharedArrayBuffer
  /** To the thread that hears the other gates; null: there are none, or it is the gate's own thread that tells them. */
  readonly gates: MessagePort | null
  /** To the gate's thread, which can read from its end in the middle of a turn. */
  readonly port: MessagePort
}

/** What the gate's thread answers; `number` is the pull's. */
export type ToSwitch =
  /** Nothing of it is written upstream any more. */
  | { readonly says: 'stopped'; readonly number: number; readonly sessions: number }
  /** The store has it, or could not take it. */
  | { readonly says: 'written'; readonly number: number; readonly id: number | null }
  /** SIGUSR2, which only the gate's own thread hears. */
  | { readonly says: 'signal' }

/** What somebody who holds the switch's token asks. */
export interface Asked {
  readonly kind: KillKind
  /** Empty for `all`, and only for it. */
  readonly name: string
  readonly reason: string
  readonly drain: boolean
}

/** Throws: without what it is given the thread has nothing to do. */
export function readSwitchData(value: unknown): SwitchData {
  const { recordPath, socketPath, filePath, tokenSha256, leaseMs, isShared, memory, gates, port } = fieldsOf(value) ?? {}
  if (
    typeof recordPath === 'string' &&
    typeof socketPath === 'string' &&
    typeof filePath === 'string' &&
    typeof tokenSha256 === 'string' &&
    typeof leaseMs === 'number' &&
    typeof isShared === 'boolean' &&
    memory instanceof SharedArrayBuffer &&
    (gates === null || gates instanceof MessagePort) &&
    port instanceof MessagePort
  )
    return { recordPath, socketPath, filePath, tokenSha256, leaseMs, isShared, memory, gates, port }
  throw new TypeError('the thread of the kill switch was not given what it needs')
}

/** Throws: another message means a gate's thread that cannot be trusted, and the gate ends with its switch. */
export function readToSwitch(value: unknown): ToSwitch {
  const { says, number, sessions, id, ...more } = fieldsOf(value) ?? {}
  if (Object.keys(more).length === 0) {
    if (says === 'signal') return { says }
    if (says === 'stopped' && isCount(number, 1) && isCount(sessions, 0)) return { says, number, sessions }
    if (says === 'written' && isCount(number, 1) && (id === null || typeof id === 'number')) return { says, number, id }
  }
  throw new TypeError('the gate’s thread said something else than that it stopped or wrote a kill')
}

/** Null unless it is an order, whole and with nothing besides. */
export function readAsked(value: unknown): Asked | null {
  const { kind, name, reason, drain, ...more } = fieldsOf(value) ?? {}
  const known = killKinds.find((each) => each === kind)
  if (known === undefined || typeof drain !== 'boolean' || Object.keys(more).length > 0) return null
  if (typeof name !== 'string' || name.length > nameMax || typeof reason !== 'string' || reason.length > reasonMax) return null
  return (known === 'all') === (name === '') ? { kind: known, name, reason, drain } : null
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : null
}

function isCount(value: unknown, min: number): value is number {
  return Number.isSafeInteger(value) && Number(value) >= min
}
