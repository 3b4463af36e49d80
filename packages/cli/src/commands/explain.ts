import type { Json, Operation } from '@sallyport/core'
import { Command } from 'commander'
import { z } from 'zod'
import { CommandFailure, exitCodes } from '../failure.ts'

/** What one line or text would do: the contract of `--jsonl`. One object for each line, in the order of the lines. */
export interface Explanation {
  readonly id: Json
  /** The worst operation's. */
  readonly kind: string
  /** Of the operations alone, before any copy: true when every one is. */
  readonly reversible: boolean
  readonly operations: readonly {
    readonly action: string
    readonly kind: string
    readonly reversible: boolean
    readonly resources: readonly { readonly type: string; readonly name: string }[]
    readonly why: string
  }[]
  readonly why: string
}

type Describe = (connector: string, decoded: Json) => Promise<readonly Operation[]>

const optionsShape = z.object({
  protocol: z.string().min(1).max(40),
  jsonl: z.boolean().default(false),
  json: z.boolean().default(false),
})

/** The fields of a line that each protocol's connector reads; the rest (labels, notes) is not its business. */
const fieldsOf: ReadonlyMap<string, readonly string[]> = new Map([
  ['postgres', ['sql']],
  ['http', ['method', 'url', 'headers', 'body']],
  ['shell', ['cmd']],
  ['mcp', ['server', 'tool', 'annotations', 'arguments']],
])
/** Bytes. A longer line is malformed; no more of it than this is ever held. */
const lineBytesMax = 4 * 1024 * 1024
/** Lines that are described at once, and answers that wait for an earlier one. */
const openMax = 256
/** From mild to grave, as DESIGN §2 has them; core's own list would load the policy engine for a command that needs none. */
const order = ['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown']

export function makeCommand(): Command {
  return new Command('explain')
    .description('Says what an operation would do, from its text alone: no gate, no database, nothing runs.')
    .argument('[text]', 'the text to explain; without it, standard input is read')
    .requiredOption('--protocol <name>', 'the language of the text: postgres, http')
    .option(
      '--jsonl',
      'read JSON lines on standard input ({"id": …, "sql": …}, or method, url, headers, body), print one JSON object for each, in the same order',
    )
    .option('--json', 'print one JSON object instead of words')
    .addHelpText(
      'after',
      `
Each JSON object has: id, kind (read, write, disrupt, escalate, destroy or unknown: the worst operation's), reversible (of the operations
alone), operations (action, kind, reversible, resources, why) and why. What can't be read is unknown, and no error.

Exit codes: 0 explained, whatever came of it; 2 the command line was wrong.`,
    )
    .action(async (given: string | undefined, options: unknown) => explain(given, optionsShape.parse(options)))
}

async function explain(given: string | undefined, options: z.infer<typeof optionsShape>): Promise<void> {
  if (!fieldsOf.has(options.protocol)) {
    throw new CommandFailure(
      exitCodes.usage,
      'unreadable',
      `There is no protocol ${JSON.stringify(options.protocol)}.`,
      'Nothing was explained.',
      'Use one of: postgres, http.',
    )
  }
  if (options.jsonl && given !== undefined) {
    throw new CommandFailure(
      exitCodes.usage,
      'unreadable',
      'With --jsonl the lines come on standard input, not as an argument.',
      'Nothing was explained.',
      'Leave the text away.',
    )
  }
  // a reader that has seen enough (head) ends the command; that is no failure
  process.stdout.on('error', () => process.exit(exitCodes.ok))
  const { makeDescribers } = await import('@sallyport/connectors')
  const describers = makeDescribers()
  const describe: Describe = (connector, decoded) => describers.describe(connector, decoded)
  if (options.jsonl) return explainLines(options.protocol, describe)
  const text = given ?? (await readAll())
  const explanation =
    text === null
      ? malformed(null, 'The input is too long, or is not UTF-8.')
      : await explainText(text, options.protocol, describe)
  await write(options.json ? `${JSON.stringify(explanation)}\n` : inWords(explanation))
}

/** A text of a language with one field is that field; a request of several (http) is a JSON object. */
async function explainText(text: string, protocol: string, describe: Describe): Promise<Explanation> {
  const [field = 'sql', ...others] = fieldsOf.get(protocol) ?? []
  if (others.length > 0) return explainLine(Buffer.from(text), protocol, describe)
  return explainOne(null, protocol, { [field]: text }, describe)
}

async function readAll(): Promise<string | null> {
  const lines: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of standardInput()) {
    bytes += chunk.length
    if (bytes > lineBytesMax) return null
    lines.push(chunk)
  }
  return decode(Buffer.concat(lines))
}

/** Standard input as bytes: nothing decodes them before the bound was checked. */
async function* standardInput(): AsyncGenerator<Uint8Array> {
  for await (const chunk of process.stdin) {
    const piece: unknown = chunk
    if (piece instanceof Uint8Array) yield piece
  }
}

function decode(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

/** Many lines are described at once; answers leave in the order of the lines. */
async function explainLines(protocol: string, describe: Describe): Promise<void> {
  const open: Promise<Explanation>[] = []
  const flush = async (keep: number): Promise<void> => {
    let out = ''
    while (open.length > keep) {
      const first = open.shift()
      if (first) out += `${JSON.stringify(await first)}\n`
    }
    if (out !== '') await write(out)
  }
  for await (const line of splitLines(standardInput())) {
    open.push(
      line === null
        ? Promise.resolve(malformed(null, `The line is longer than ${lineBytesMax} bytes.`))
        : explainLine(line, protocol, describe),
    )
    if (open.length >= openMax) await flush(openMax / 2)
  }
  await flush(0)
}

/** The lines of a stream of bytes, without their ends; null for one that is too long, of which nothing is kept. */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>, bytesMax = lineBytesMax): AsyncGenerator<Uint8Array | null> {
  let parts: Uint8Array[] = []
  let held = 0
  let isTooLong = false
  const add = (piece: Uint8Array): void => {
    held += piece.length
    isTooLong ||= held > bytesMax
    if (isTooLong) parts = []
    else if (piece.length > 0) parts.push(piece)
  }
  for await (const chunk of chunks) {
    let from = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      add(chunk.subarray(from, end))
      yield isTooLong ? null : Buffer.concat(parts)
      parts = []
      held = 0
      isTooLong = false
      from = end + 1
    }
    add(chunk.subarray(from))
  }
  if (held > 0) yield isTooLong ? null : Buffer.concat(parts)
}

const lineShape = z.record(z.string(), z.json())

export async function explainLine(line: Uint8Array, protocol: string, describe: Describe): Promise<Explanation> {
  const text = decode(line)
  if (text === null) return malformed(null, 'The line is not UTF-8.')
  let parsed
  try {
    parsed = lineShape.safeParse(JSON.parse(text))
  } catch {
    return malformed(null, 'The line is not JSON.')
  }
  if (!parsed.success) return malformed(null, 'The line is no JSON object.')
  const { id = null } = parsed.data
  const fields = fieldsOf.get(protocol) ?? []
  const decoded = Object.fromEntries(
    fields.flatMap((field) => (parsed.data[field] === undefined ? [] : [[field, parsed.data[field]]])),
  )
  return explainOne(id, protocol, decoded, describe)
}

async function explainOne(
  id: Json,
  protocol: string,
  decoded: { readonly [key: string]: Json },
  describe: Describe,
): Promise<Explanation> {
  try {
    return summarize(id, await describe(protocol, decoded))
  } catch {
    // describe never throws; were it to, the line must still not pass for anything mild
    return malformed(id, 'The connector failed on it.')
  }
}

export function summarize(id: Json, operations: readonly Operation[]): Explanation {
  const [first] = operations
  if (!first) return malformed(id, 'Nothing in it could be read.')
  const worst = operations.reduce(
    (grave, operation) => (order.indexOf(operation.impact.kind) > order.indexOf(grave.impact.kind) ? operation : grave),
    first,
  )
  return {
    id,
    kind: worst.impact.kind,
    reversible: operations.every(({ impact }) => impact.reversible),
    operations: operations.map(({ action, impact, resources, why }) => ({
      action,
      kind: impact.kind,
      reversible: impact.reversible,
      resources: resources.map(({ type, name }) => ({ type, name })),
      why,
    })),
    why: worst.why,
  }
}

function malformed(id: Json, why: string): Explanation {
  return { id, kind: 'unknown', reversible: false, operations: [], why }
}

function inWords(explanation: Explanation): string {
  const lines = explanation.operations.map(
    ({ action, kind, reversible, why }) => `  ${action}: ${kind}${reversible ? '' : ', not reversible'}: ${why}`,
  )
  return `${[`${explanation.kind}, ${explanation.reversible ? 'reversible' : 'not reversible'}: ${explanation.why}`, ...lines].map(visible).join('\n')}\n`
}

/** Names come from the text and may hold control characters or turn the direction of writing: shown as escapes. */
function visible(line: string): string {
  return line.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

/** Waits when the reader is slower than we are. */
async function write(text: string): Promise<void> {
  if (process.stdout.write(text)) return
  await new Promise<void>((resolve) => process.stdout.once('drain', resolve))
}
