import type { IncomingMessage } from 'node:http'
import type { z } from 'zod'
import { VaultFailure } from './failure.ts'

/** A request's whole body as text, bounded in size and time. */
export async function readText(request: IncomingMessage, bytesMax: number, timeoutMs: number): Promise<string> {
  const timer = setTimeout(
    () => request.destroy(new VaultFailure('too_slow', `The body did not come within ${timeoutMs} ms.`)),
    timeoutMs,
  )
  const pieces: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const piece of readPieces(request)) {
      bytes += piece.length
      if (bytes > bytesMax) throw new VaultFailure('too_large', `The body is larger than ${bytesMax} bytes.`)
      pieces.push(piece)
    }
  } finally {
    clearTimeout(timer)
  }
  return Buffer.concat(pieces).toString('utf8')
}

export async function readJson<Schema extends z.ZodType>(
  request: IncomingMessage,
  schema: Schema,
  bytesMax: number,
  timeoutMs: number,
): Promise<z.infer<Schema>> {
  const parsed = schema.safeParse(parseJson(await readText(request, bytesMax, timeoutMs)))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new VaultFailure(
    'bad_request',
    `The body is not what this verb takes: ${issue ? `${issue.path.join('.')}: ${issue.message}` : 'unknown form'}.`,
  )
}

/** The pieces of a body, typed; the stream ends with an error when the sender breaks off. The request outlives it, so that an answer can be sent. */
export async function* readPieces(request: IncomingMessage): AsyncGenerator<Buffer, void, undefined> {
  for await (const piece of request.iterator({ destroyOnReturn: false })) {
    if (Buffer.isBuffer(piece)) yield piece
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new VaultFailure('bad_request', 'The body is not JSON.')
  }
}
