import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { frame, int16, int32, zeroTerminated } from '../../packages/gateway/src/protocols/postgres/wire.ts'
import type { RawClient } from '../fakes/postgres-client.ts'

const messageShape = z.union([
  z.strictObject({ query: z.string() }),
  z.strictObject({ parse: z.string(), sql: z.string(), types: z.array(z.string()).default([]) }),
  z.strictObject({ bind: z.string(), of: z.string(), values: z.array(z.string().nullable()).default([]) }),
  z.strictObject({ execute: z.string(), rows: z.int().default(0) }),
  z.strictObject({ describe: z.enum(['S', 'P']), name: z.string() }),
  z.strictObject({ close: z.enum(['S', 'P']), name: z.string() }),
  z.strictObject({ copyData: z.string() }),
  z.strictObject({ copyDone: z.literal(true) }),
  z.strictObject({ flush: z.literal(true) }),
  z.strictObject({ sync: z.literal(true) }),
  /** Bytes as they are, in hexadecimal: how many ReadyForQuery they bring. */
  z.strictObject({ bytes: z.string(), readies: z.int() }),
])
type Message = z.infer<typeof messageShape>

const attackShape = z.strictObject({
  id: z.string(),
  why: z.string(),
  /** Agents that try it; both unless it says otherwise. */
  as: z.array(z.enum(['reader', 'rows'])).default(['reader', 'rows']),
  /** Start-up parameters beyond user and database. */
  startup: z.record(z.string(), z.string()).optional(),
  /** Each step is a Query, or messages in one write. */
  script: z.array(z.union([z.string(), z.array(messageShape)])).min(1),
  /** Sent to the server itself it changes something: the gate alone stands between. */
  bites: z.boolean(),
})
export type Attack = z.infer<typeof attackShape>

/** What stands for `{name}` in a script: process ids, folders, oids of types. */
export type Placeholders = ReadonlyMap<string, string>

export const attacksPath = fileURLToPath(new URL('../cases/sql-attacks.jsonl', import.meta.url))

export function readAttacks(): readonly Attack[] {
  return readFileSync(attacksPath, 'utf8')
    .trim()
    .split('\n')
    .map((line) => attackShape.parse(JSON.parse(line)))
}

/** A session of its own matters for what leaves something behind in it. */
export function isSingle({ script, startup }: Attack): boolean {
  const [step] = script
  return (
    script.length === 1 &&
    typeof step === 'string' &&
    startup === undefined &&
    !/^\s*(begin|set|start|prepare|declare)\b/i.test(step)
  )
}

/** Plays a script and gives a line for each answer. A connection that ends, ends the script. */
export async function play(attack: Attack, client: RawClient, placeholders: Placeholders): Promise<readonly string[]> {
  const lines: string[] = []
  for (const step of attack.script) {
    const messages = (typeof step === 'string' ? [{ query: step }] : step).map((message) => fill(message, placeholders))
    client.send(...messages.map(encode))
    const readies = messages.reduce((sum, message) => sum + readiesOf(message), 0)
    const answers = await client.answers(readies)
    lines.push(...answers)
    if (answers.at(-1) === 'closed') break
  }
  return lines
}

function fill(message: Message, placeholders: Placeholders): Message {
  const text = JSON.stringify(message).replaceAll(/\{([a-z]+)\}/g, (whole, name: string) => placeholders.get(name) ?? whole)
  return messageShape.parse(JSON.parse(text))
}

function readiesOf(message: Message): number {
  if ('bytes' in message) return message.readies
  return 'query' in message || 'sync' in message ? 1 : 0
}

function encode(message: Message): Buffer {
  if ('query' in message) return frame(0x51, zeroTerminated(message.query))
  if ('parse' in message) {
    const types = message.types.map((oid) => int32(Number(oid)))
    return frame(0x50, zeroTerminated(message.parse), zeroTerminated(message.sql), int16(types.length), ...types)
  }
  if ('bind' in message) {
    const values = message.values.flatMap((value) =>
      value === null ? [int32(-1)] : [int32(Buffer.byteLength(value)), Buffer.from(value)],
    )
    return frame(
      0x42,
      zeroTerminated(message.bind),
      zeroTerminated(message.of),
      int16(0),
      int16(message.values.length),
      ...values,
      int16(0),
    )
  }
  if ('execute' in message) return frame(0x45, zeroTerminated(message.execute), int32(message.rows))
  if ('describe' in message) return frame(0x44, Buffer.from(message.describe), zeroTerminated(message.name))
  if ('close' in message) return frame(0x43, Buffer.from(message.close), zeroTerminated(message.name))
  if ('copyData' in message) return frame(0x64, Buffer.from(message.copyData))
  if ('copyDone' in message) return frame(0x63)
  if ('flush' in message) return frame(0x48)
  if ('sync' in message) return frame(0x53)
  return Buffer.from(message.bytes, 'hex')
}
