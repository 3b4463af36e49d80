import { hash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { findCanary, type Canaries } from './canary.ts'
import { digestToken } from './token-digest.ts'

const token = '7b3f1a52-9c1d-4f8a-8f0e-2d6c5b4a3918'
const planted = { sha256: hash('sha256', token, 'hex'), file: '.env.domains', host: 'backboard.railway.com' }
const canaries: Canaries = { isEmpty: false, find: (sha256) => (sha256 === planted.sha256 ? planted : null) }
const find = (text: string): unknown => findCanary(canaries, [{ place: 'body', text }])

test('the digest of a planted token is the one that alarms name', () => {
  expect(digestToken(token)).toBe(planted.sha256)
})

test('it is found whatever stands around it, in any case, with or without hyphens', () => {
  const word = fc.stringMatching(/^[0-9a-f-]{0,80}$/)
  fc.assert(
    fc.property(word, word, (before, after) => {
      expect(find(`${before}${token}${after}`)).toEqual({ canary: planted, place: 'body' })
      expect(find(`${before} ${token.toUpperCase()} ${after}`)).not.toBeNull()
      expect(find(`${before} ${token.replaceAll('-', '')} ${after}`)).not.toBeNull()
    }),
  )
})

test('nothing else is', () => {
  fc.assert(fc.property(fc.uuid(), (other) => other === token || find(`${other} ${other.replaceAll('-', '')}`) === null))
  expect(findCanary({ isEmpty: true, find: () => planted }, [{ place: 'body', text: token }])).toBeNull()
})

test('a megabyte of what looks like one is searched in less than seconds', () => {
  for (const piece of ['aaaaaaaa-', token, 'aaaaaaaa-aaaa-aaaa-aaaa-aaaa', 'a', 'a'.repeat(32) + ' ']) {
    const startMs = performance.now()
    expect(
      findCanary({ isEmpty: false, find: () => null }, [{ place: 'body', text: piece.repeat(1_048_576 / piece.length) }]),
    ).toBeNull()
    expect(performance.now() - startMs, piece).toBeLessThan(60_000)
  }
})
