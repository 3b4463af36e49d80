import {
  closeMessage,
  copyDataMessage,
  copyDoneMessage,
  copyFailMessage,
  flushMessage,
  frame,
  int16,
  int32,
  parseMessage,
  queryMessage,
  syncMessage,
  zeroTerminated,
} from '../../../packages/gateway/src/protocols/postgres/wire.ts'
import { bindMessage, executeMessage } from '../../../packages/gateway/src/protocols/postgres/wire.ts'
import { describeMessage, executeRows, type Message } from '../../fakes/postgres-client.ts'

/** What one client says in one write, and what it waits for before it says more. */
export interface Step {
  /** Which connection says it: `a` is there, others are opened when they are first named. */
  readonly on: string
  /** The bytes, or how to make them of the answers to the step before. */
  readonly says: Buffer | ((answers: readonly Message[]) => Buffer)
  /** So many ReadyForQuery (how many Queries and Syncs were said), or the last type of the answer, or the end of the connection. */
  readonly until: number | string
}

export interface Scenario {
  readonly name: string
  readonly steps: readonly Step[]
  /** Leaves the session as it was: no new connection and no DISCARD ALL is needed after it. */
  readonly clean: boolean
}

const readies = (bytes: Buffer): number => {
  let count = 0
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1))
    if (bytes[at] === 0x51 || bytes[at] === 0x53) count += 1
  return count
}

export const say = (...messages: readonly Buffer[]): Step => {
  const says = Buffer.concat(messages)
  return { on: 'a', says, until: readies(says) }
}
export const sayUntil = (until: number | string, ...messages: readonly Buffer[]): Step => ({
  on: 'a',
  says: Buffer.concat(messages),
  until,
})
export const as = (on: string, step: Step): Step => ({ ...step, on })
export const scenario = (name: string, ...steps: readonly Step[]): Scenario => ({ name, steps, clean: false })
export const cleanScenario = (name: string, ...steps: readonly Step[]): Scenario => ({ name, steps, clean: true })

// The messages of a client, by their names in the protocol's documentation.
export const query = queryMessage
export const parse = (name: string, sql: string, ...types: readonly number[]): Buffer =>
  types.length === 0
    ? parseMessage(name, sql)
    : frame(0x50, zeroTerminated(name), zeroTerminated(sql), int16(types.length), ...types.map(int32))
export const bind = bindMessage
export const describeStatement = (name = ''): Buffer => describeMessage('S', name)
export const describePortal = (name = ''): Buffer => describeMessage('P', name)
export const execute = (portal = '', rows = 0): Buffer => (rows === 0 ? executeMessage(portal) : executeRows(portal, rows))
export const closeStatement = (name: string): Buffer => closeMessage('S', name)
export const closePortal = (name: string): Buffer => closeMessage('P', name)
export const sync = syncMessage
export const flush = flushMessage
export const copyData = (text: string | Buffer): Buffer => copyDataMessage(typeof text === 'string' ? Buffer.from(text) : text)
export const copyDone = copyDoneMessage
export const copyFail = copyFailMessage

/** Bind with formats (0 text, 1 binary) of parameters and results. */
export function bindFormats(
  statement: string,
  values: readonly (Buffer | null)[],
  parameterFormats: readonly number[],
  resultFormats: readonly number[],
  portal = '',
): Buffer {
  const parts = values.flatMap((value) => (value === null ? [int32(-1)] : [int32(value.length), value]))
  return frame(
    0x42,
    zeroTerminated(portal),
    zeroTerminated(statement),
    int16(parameterFormats.length),
    ...parameterFormats.map(int16),
    int16(values.length),
    ...parts,
    int16(resultFormats.length),
    ...resultFormats.map(int16),
  )
}

/** Parse, Bind, Describe of the portal, Execute: what clients send for one statement with text values. */
export const statement = (sql: string, values: readonly (string | null)[] = []): Buffer =>
  Buffer.concat([parse('', sql), bind('', '', values), describePortal(), execute()])

/** The first value of the first DataRow. */
export function firstValue(answers: readonly Message[]): Buffer | null {
  const row = answers.find(({ type }) => type === 'D')
  if (row === undefined) throw new Error(`no row was answered: ${answers.map(({ type }) => type).join('')}`)
  const length = row.bytes.readInt32BE(7)
  return length === -1 ? null : row.bytes.subarray(11, 11 + length)
}
