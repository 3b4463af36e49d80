import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { brotliDecompress, constants, gunzip, inflate, inflateRaw, zstdDecompress } from 'node:zlib'
import { refuse } from './refusal.ts'

/** Reads a request's body whole. @throws SallyportError past `bytesMax`, on trailers, or when it breaks off */
export async function readBody(request: IncomingMessage, bytes: number | null, bytesMax: number): Promise<Buffer> {
  if (bytes === 0) return empty
  if (bytes !== null && bytes > bytesMax) throw tooLarge(bytesMax)
  const chunks: Buffer[] = []
  let length = 0
  const body = await new Promise<Buffer>((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > bytesMax) {
        request.pause()
        reject(tooLarge(bytesMax))
      } else chunks.push(chunk)
    })
    request.once('end', () => resolve(chunks.length === 1 ? (chunks[0] ?? empty) : Buffer.concat(chunks)))
    // It closes after its end too: an error is made, stack and all, only where one is needed.
    const breakOff = (): void => {
      if (!request.readableEnded) reject(brokenOff())
    }
    request.once('close', breakOff)
    request.once('error', () => reject(brokenOff()))
  })
  if (request.rawTrailers.length > 0)
    throw refuse('not_supported', 'Trailers are not carried.', 'Send all headers before the body.')
  if (bytes !== null && bytes !== body.length) throw brokenOff()
  return body
}

const empty = Buffer.alloc(0)

function tooLarge(bytesMax: number): Error {
  return refuse(
    'too_large',
    `The body is larger than ${bytesMax} bytes, more than the gate reads before it decides.`,
    'Send it in smaller requests.',
  )
}

function brokenOff(): Error {
  return refuse('protocol_violation', 'The request broke off in its body.', 'Send it again, whole.')
}

const openGzip = promisify<Buffer, { maxOutputLength: number; info: true }, unknown>(gunzip)
const openDeflate = promisify<Buffer, { maxOutputLength: number; info: true }, unknown>(inflate)
const openRaw = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflateRaw)
const openBrotli = promisify<Buffer, { maxOutputLength: number; info: true }, unknown>(brotliDecompress)
const openZstd = promisify<Buffer, { maxOutputLength: number; info: true; params: Record<number, number> }, unknown>(
  zstdDecompress,
)

/** 8 MiB: the window that RFC 9659 allows for content. */
const zstdWindowLogMax = 23

/**
 * Opens a body for describing; what is forwarded stays as it came. One coding at most, opened whole, to at most `bytesMax`, with nothing left
 * over: a reader that stops earlier, or opens differently, would read another request than the one that is decided.
 */
export async function openBody(body: Buffer, codings: readonly string[], bytesMax: number): Promise<Buffer> {
  const [coding, second] = codings
  if (coding === undefined || body.length === 0) return body
  if (second !== undefined) throw unreadable('The body is encoded more than once.')
  const options = { maxOutputLength: bytesMax, info: true } as const
  try {
    switch (coding) {
      case 'gzip':
      case 'x-gzip':
        return checkGzip(body, readOpened(await openGzip(body, options), body))
      case 'br':
        return readOpened(await openBrotli(body, options), body)
      case 'zstd':
        return readOpened(
          await openZstd(body, { ...options, params: { [constants.ZSTD_d_windowLogMax]: zstdWindowLogMax } }),
          body,
        )
      case 'deflate':
        return await checkDeflate(body, readOpened(await openDeflate(body, options), body))
      default:
        throw unreadable(`The gate can't open the encoding ${JSON.stringify(coding.slice(0, 32))}.`)
    }
  } catch (error) {
    if (error instanceof RangeError || readCode(error) === 'ERR_BUFFER_TOO_LARGE')
      throw refuse('too_large', `The body opens to more than ${bytesMax} bytes.`, 'Send it in smaller requests.')
    if (readCode(error) !== '') throw unreadable(`The body is not whole ${coding}.`)
    throw error
  }
}

function readCode(error: unknown): string {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined
  return typeof code === 'string' && /^(ERR_|Z_|ZSTD_)/.test(code) ? code : ''
}

/** What `info: true` gives: the opened bytes, and the engine that knows how many it ate. */
function readOpened(opened: unknown, body: Buffer): Buffer {
  if (typeof opened !== 'object' || opened === null) throw unreadable('The body could not be opened.')
  const buffer: unknown = Reflect.get(opened, 'buffer')
  const engine: unknown = Reflect.get(opened, 'engine')
  const eaten: unknown = typeof engine === 'object' && engine !== null ? Reflect.get(engine, 'bytesWritten') : undefined
  if (!Buffer.isBuffer(buffer) || eaten !== body.length) throw unreadable('Something follows the encoded body.')
  return buffer
}

/** The last four bytes are the length of the last member (RFC 1952 §2.3.1): another one means that there are several, and some readers stop at the first. */
function checkGzip(body: Buffer, opened: Buffer): Buffer {
  if (body.readUInt32LE(body.length - 4) !== opened.length) throw unreadable('The gzip body has several members.')
  return opened
}

/** Some servers read `deflate` without the zlib wrapper; bytes that are whole in both readings mean two things. */
async function checkDeflate(body: Buffer, opened: Buffer): Promise<Buffer> {
  const raw = await openRaw(body, { maxOutputLength: opened.length + 65_536 }).catch(() => null)
  if (raw !== null) throw unreadable('The deflate body can be read in two ways.')
  return opened
}

function unreadable(what: string): Error {
  return refuse('unreadable', what, 'Send it plain, or encoded once with gzip, br, deflate or zstd.')
}
