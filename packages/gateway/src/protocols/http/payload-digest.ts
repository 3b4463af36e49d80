import { hash } from 'node:crypto'
import type { Message } from './upstreams.ts'

/** Request line and headers up to the blank line, as they go upstream but for the credential. */
export function renderHead({ method, target, headers }: Message): string {
  let head = `${method} ${target} HTTP/1.1\r\n`
  for (const [name, value] of headers) head += `${name}: ${value}\r\n`
  return head
}

/**
 * SHA-256 over the exact bytes that are forwarded, the credential's line left out: for both sides of a clearance. The protocol makes it of what
 * it asks about, the upstream of what it is about to write. Unambiguous, since no part of the head can hold a line break.
 */
export function digestMessage(message: Message): string {
  const head = Buffer.from(`${renderHead(message)}\r\n`, 'latin1')
  return hash('sha256', message.body.length === 0 ? head : Buffer.concat([head, message.body]), 'hex')
}
