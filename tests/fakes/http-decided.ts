import { hash } from 'node:crypto'
import { expect } from 'vitest'
import { governedHost, realSecret, type HttpGate, type RawAnswer } from './http-gate.ts'
import type { HttpStandIn } from './http-upstream.ts'

export const hostLine = `Host: ${governedHost}\r\n`

/** A POST with a right length. */
export function postBytes(headers: string, body: string | Buffer, target = '/graphql/v2'): Buffer {
  const head = `POST ${target} HTTP/1.1\r\n${hostLine}${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`
  return Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(body)])
}

function withoutCredential(bytes: Buffer): Buffer {
  const line = Buffer.from(`authorization: Bearer ${realSecret}\r\n`)
  const at = bytes.indexOf(line)
  expect(at, 'the real credential is in every request that arrives').toBeGreaterThan(0)
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + line.length)])
}

/** Every byte that arrived belongs to a request that was decided. */
export function expectDecidedOrNothing(gate: HttpGate, standIn: HttpStandIn): void {
  const whole = Buffer.concat(standIn.received.map(({ bytes }) => bytes))
  expect(Buffer.concat(standIn.bytes).equals(whole), 'nothing but whole requests').toBe(true)
  const decided = gate.fake.asked.map(({ payload }) => payload.bytesSha256)
  for (const { bytes } of standIn.received) expect(decided).toContain(hash('sha256', withoutCredential(bytes), 'hex'))
}

/** Neither the client nor anything that is kept has seen the real credential. */
export function expectNoSecret(gate: HttpGate, answer: RawAnswer): void {
  const { asked, alarms, outcomes, door } = gate.fake
  const kept = asked.map(({ decoded, text, payload }) => ({ decoded, text, payload }))
  expect(answer.text).not.toContain(realSecret)
  expect(JSON.stringify([kept, alarms, outcomes, door])).not.toContain(realSecret)
}
