import { X509Certificate } from 'node:crypto'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openAuthority } from './index.ts'

let folder = ''
let nowMs = Date.parse('2026-06-01T00:00:00Z')
const time = { nowMs: (): number => nowMs }
const dayMs = 86_400_000

beforeEach(() => {
  nowMs = Date.parse('2026-06-01T00:00:00Z')
  folder = mkdtempSync(join(tmpdir(), 'sp-authority-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('an authority is made once, its key for its user alone, and signs leaves for exactly one host', async () => {
  const authority = await openAuthority(folder, time)
  expect(statSync(join(folder, 'ca.key')).mode & 0o777).toBe(0o600)
  const root = new X509Certificate(readFileSync(join(folder, 'ca.pem')))
  const leaf = new X509Certificate((await authority.issue('api.cloud.test')).certificate)
  expect(root.ca).toBe(true)
  expect(leaf.ca).toBe(false)
  expect(leaf.verify(root.publicKey) && leaf.checkIssued(root)).toBe(true)
  expect(leaf.subjectAltName).toBe('DNS:api.cloud.test')
  expect(leaf.checkHost('api.cloud.test')).toBe('api.cloud.test')
  expect(leaf.checkHost('x.cloud.test')).toBeUndefined()
  expect(leaf.publicKey.asymmetricKeyDetails).toMatchObject({ namedCurve: 'prime256v1' })
  expect(Date.parse(leaf.validTo) - nowMs).toBeLessThanOrEqual(7 * dayMs)
  const again = await openAuthority(folder, time)
  expect(again.certificate).toBe(authority.certificate)
})

test('a leaf is the same until it is half over; an authority near its end is replaced', async () => {
  const authority = await openAuthority(folder, time)
  const first = await authority.issue('api.cloud.test')
  expect(await authority.issue('api.cloud.test')).toBe(first)
  nowMs += 4 * dayMs
  expect(await authority.issue('api.cloud.test')).not.toBe(first)
  nowMs += 705 * dayMs
  expect((await openAuthority(folder, time)).certificate).not.toBe(authority.certificate)
})

test('a key that others can read is refused; a broken certificate is replaced with its key', async () => {
  const authority = await openAuthority(folder, time)
  chmodSync(join(folder, 'ca.key'), 0o644)
  await expect(openAuthority(folder, time)).rejects.toThrow('Others on this machine can read')
  chmodSync(join(folder, 'ca.key'), 0o600)
  writeFileSync(join(folder, 'ca.pem'), 'no certificate')
  expect((await openAuthority(folder, time)).certificate).not.toBe(authority.certificate)
})
