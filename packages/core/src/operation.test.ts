import { describe, expect, it } from 'vitest'
import { digestJson, keepCanonical } from './canonical.ts'
import { digestRequest, type Payload, type ResolvedOperation } from './operation.ts'

const operations: readonly ResolvedOperation[] = [
  {
    action: 'postgres.update',
    resources: [{ type: 'table', name: 'public.orders', identity: '16384', schemaHash: 'a' }],
    impact: { kind: 'write', reversible: true },
    why: 'a test',
    context: {},
    copy: { kind: 'none' },
  },
]
const subject = { agent: 'coder', owner: 'ada' }
const payload: Payload = {
  protocol: 'postgres',
  upstream: 'orders-db',
  upstreamIdentity: 'system:1',
  bytesSha256: 'ab'.repeat(32),
  bindValues: [{ type: 23, format: 0, value: 'NQ==' }],
  settings: keepCanonical({ search_path: 'public' }),
}

/** As DESIGN §2 and docs/formats.md have it, in one piece. */
function digestWhole({ agent, owner }: typeof subject, { rewrite, ...rest }: Payload): string {
  const parts = operations.map(({ action, resources }) => ({
    action,
    resources: resources.map(({ type, name, identity = null }) => ({ type, name, identity })),
  }))
  return digestJson({ agent, owner, ...rest, rewrite: rewrite ?? null, operations: parts, v: 1 })
}

describe('digestRequest', () => {
  it('is the digest of one object, whatever of it was written before', () => {
    expect(digestRequest(subject, payload, operations)).toBe(digestWhole(subject, payload))
    const others: readonly (readonly [typeof subject, Payload])[] = [
      [subject, { ...payload, bytesSha256: 'cd'.repeat(32) }],
      [subject, { ...payload, bindValues: [] }],
      [{ ...subject, agent: 'reviewer' }, payload],
      [{ ...subject, owner: 'grace' }, payload],
      [subject, { ...payload, protocol: 'http' }],
      [subject, { ...payload, upstream: 'billing-db' }],
      [subject, { ...payload, upstreamIdentity: 'system:2' }],
      [subject, { ...payload, settings: keepCanonical({ search_path: 'mallory, public' }) }],
      [subject, { ...payload, rewrite: 'ALTER TABLE orders SET SCHEMA kept' }],
    ]
    const digests = others.map(([who, what]) => {
      const digest = digestRequest(who, what, operations)
      expect(digest).toBe(digestWhole(who, what))
      // And what it was is what it is again.
      expect(digestRequest(subject, payload, operations)).toBe(digestWhole(subject, payload))
      return digest
    })
    expect(new Set([...digests, digestWhole(subject, payload)]).size).toBe(others.length + 1)
  })

  it('reads settings again that can be changed in place', () => {
    const settings = { search_path: 'public' }
    const before = digestRequest(subject, { ...payload, settings }, operations)
    settings.search_path = 'mallory, public'
    expect(digestRequest(subject, { ...payload, settings }, operations)).toBe(digestWhole(subject, { ...payload, settings }))
    expect(digestRequest(subject, { ...payload, settings }, operations)).not.toBe(before)
  })
})
