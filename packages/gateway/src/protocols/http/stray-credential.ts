import type { IncomingMessage } from 'node:http'
import type { Handle } from '@sallyport/core'
import { findCanary, type Canaries, type FoundCanary } from './canary.ts'
import {
  findInCredentialHeaders,
  findInForwarded,
  findInHeaders,
  findInTarget,
  readBodyTexts,
  sayName,
  type ForeignCredential,
  type Headers,
} from './foreign-credential.ts'
import type { Origin } from './origin.ts'
import { AlarmingRefusal } from './refusal.ts'
import type { RequestHead } from './request-head.ts'
import { decodePercent, readTexts } from './text-within.ts'
import { digestToken } from './token-digest.ts'

/** Promise 2: whose request it is, for whom, and what was planted for it to find. */
export interface Searcher {
  readonly handle: Handle
  readonly upstream: string
  readonly origin: Origin
  readonly canaries: Canaries | null
}

/** @throws AlarmingRefusal when a header for credentials holds one that is not ours */
export function checkCredentialHeaders(searcher: Searcher, credentials: Headers): void {
  const found = ringFor(searcher, placesOfHeaders(credentials), () => findInCredentialHeaders(credentials, searcher.handle))
  if (found !== null) throw found
}

/** @throws AlarmingRefusal when anything that would be forwarded holds a credential. `opened`: the body, its compression undone */
export function checkForwarded(searcher: Searcher, head: RequestHead, opened: Buffer): void {
  const { target, forwarded, contentType } = head
  const found = ringFor(searcher, placesOfRequest(target, forwarded, opened, contentType), () =>
    findInForwarded(target, forwarded, opened, contentType),
  )
  if (found !== null) throw found
}

/** What a request that can't be carried anyway has in its head or behind its body: it goes nowhere, and all the same it was tried. */
export function findInUnread(searcher: Searcher, request: IncomingMessage, target: string): AlarmingRefusal | null {
  const headers = pairs(request.rawHeaders)
  const trailers = pairs(request.rawTrailers)
  return ringFor(
    searcher,
    [...placesOfRequest(target, headers, Buffer.alloc(0), ''), ...placesOfHeaders(trailers, 'trailer')],
    () =>
      findInCredentialHeaders(headers, searcher.handle) ??
      findInTarget(target) ??
      findInHeaders(headers.filter(([name]) => !/^(proxy-)?authorization$/i.test(name))) ??
      findInHeaders(trailers, 'trailer'),
  )
}

type Alarm = AlarmingRefusal['alarm']

/** Who comes with a planted token for a handle. */
export function findCanaryAtDoor(canaries: Canaries | null, credentials: string): Alarm | null {
  const found =
    canaries === null ? null : findCanary(canaries, placesOfHeaders([['proxy-authorization', credentials.slice(0, 4_096)]]))
  if (found === null) return null
  return { kind: 'canary', data: { file: found.canary.file, place: found.place, tokenSha256: found.canary.sha256 } }
}

/** The alarm of a token whose place is all that was read of its request, louder if that token was planted. */
export function louder(canaries: Canaries | null, alarm: Alarm): Alarm {
  const { tokenSha256 } = alarm.data
  const canary = typeof tokenSha256 === 'string' ? (canaries?.find(tokenSha256) ?? null) : null
  return canary === null ? alarm : { kind: 'canary', data: { ...alarm.data, file: canary.file } }
}

function pairs(raw: readonly string[]): Headers {
  return raw.flatMap((name, at) => (at % 2 === 0 ? [[name, raw[at + 1] ?? ''] as const] : []))
}

interface Place {
  readonly place: string
  readonly text: string
}

function* placesOfRequest(target: string, headers: Headers, body: Buffer, contentType: string): Generator<Place, void> {
  yield* placesOfHeaders(headers)
  yield* placesOfText('path or query', target)
  for (const { text, isPiece } of readBodyTexts(body, contentType)) if (!isPiece) yield* decoded('body', text)
}

function* placesOfHeaders(headers: Headers, where = 'header'): Generator<Place, void> {
  for (const [name, value] of headers) yield* placesOfText(`${where} ${sayName(name.toLowerCase())}`, `${name}: ${value}`)
}

function* placesOfText(place: string, whole: string): Generator<Place, void> {
  for (const { text } of decoded(place, whole)) {
    for (const within of readTexts(text)) if (!within.isPiece) yield { place, text: within.text }
  }
}

function* decoded(place: string, text: string): Generator<Place, void> {
  yield { place, text }
  if (!text.includes('%')) return
  const plain = decodePercent(text)
  if (plain !== text) yield { place, text: plain }
}

/** A canary is louder than any other stray token, and the client is told the same of both. */
function ringFor(searcher: Searcher, places: Iterable<Place>, find: () => ForeignCredential | null): AlarmingRefusal | null {
  const canary = searcher.canaries === null ? null : findCanary(searcher.canaries, places)
  if (canary !== null) return ringCanary(searcher, canary)
  const foreign = find()
  return foreign === null ? null : ringForeign(searcher, foreign)
}

/** The alarm names the place and a digest by which the stray token can be found; the token itself goes nowhere. */
function ringForeign({ origin, upstream }: Searcher, { place, shape, token }: ForeignCredential): AlarmingRefusal {
  const data = { place, shape, upstream, host: origin.host, tokenSha256: digestToken(token) }
  return tell(shape, place, { kind: 'foreign_credential', data })
}

function ringCanary({ origin, upstream }: Searcher, { canary, place }: FoundCanary): AlarmingRefusal {
  const { file, sha256, host } = canary
  const data = { file, place, upstream, host: origin.host, looksLike: host, tokenSha256: sha256 }
  return tell('credentials', place, { kind: 'canary', data })
}

function tell(shape: string, place: string, alarm: Alarm): AlarmingRefusal {
  return new AlarmingRefusal(
    'foreign_credential',
    `This request carries a credential that Sallyport did not issue (${shape}, in ${place}).`,
    'Send it without one: the gate adds the real credential by itself. If you found this token somewhere, tell your owner where.',
    alarm,
  )
}
