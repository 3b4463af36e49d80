import { createHash } from 'node:crypto'
import { lsnShape, parseLsn, showLsn, walPieceBytesMax, walStreamAboutShape, type Json, type WalStream } from '@sallyport/core'
import { z } from 'zod'
import { readJson, readPieces } from './body.ts'
import { VaultFailure } from './failure.ts'
import { retainMsMax } from './retention.ts'
import { document, noSuchVerb, type Answer, type Call } from './answer.ts'
import type { WalStreams } from './wal-streams.ts'

const smallBodyBytesMax = 4 << 10
const bodyTimeoutMs = 10_000
const pieceShape = z.object({ from: lsnShape, retain: z.coerce.number().int().min(0).max(retainMsMax) })

/** What can be asked about WAL. A stream is begun, continued, listed and read; nothing else. */
export async function answerStreams(
  streams: WalStreams,
  call: Call,
  id: string | undefined,
  rest: string | undefined,
): Promise<Answer> {
  const { method, query } = call
  if (id === undefined && method === 'GET') return document({ streams: streams.list(query.get('upstream')).map(streamJson) })
  if (id === undefined && method === 'POST') {
    const about = await readJson(call.request, walStreamAboutShape, smallBodyBytesMax, bodyTimeoutMs)
    return document({ stream: streams.begin(about) }, 201)
  }
  if (id !== undefined && rest === 'piece' && method === 'PUT') {
    const asked = pieceShape.safeParse({ from: query.get('from'), retain: query.get('retain') })
    if (!asked.success)
      throw new VaultFailure('bad_request', '`from` is a position such as 16/B374D848, `retain` a number of milliseconds.')
    const bytes = await readPiece(call)
    const append = { sealedBy: call.credential, from: parseLsn(asked.data.from), bytes, retainMs: asked.data.retain }
    const stream = await streams.append(id, append)
    return document({ stream: streamJson(stream), sha256: createHash('sha256').update(bytes).digest('hex') }, 201)
  }
  if (id !== undefined && rest === 'wal' && method === 'GET') {
    const from = lsnShape.safeParse(query.get('from'))
    if (!from.success) throw new VaultFailure('bad_request', '`from` is a position such as 16/B374D848.')
    return { kind: 'bytes', bytes: streams.read(id, parseLsn(from.data)) }
  }
  throw noSuchVerb()
}

async function readPiece(call: Call): Promise<Buffer> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of readPieces(call.request)) {
    bytes += piece.length
    if (bytes > walPieceBytesMax) throw new VaultFailure('too_large', `A piece of WAL holds ${walPieceBytesMax} bytes at most.`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

function streamJson(stream: WalStream): Json {
  return { ...stream, fromLsn: showLsn(parseLsn(stream.fromLsn)) }
}
