import type { VaultTarget, VaultTargets } from '@sallyport/core'
import { expect, it } from 'vitest'
import type { Frame } from '../../frame.ts'
import { renderVault } from './page.ts'

const frame: Frame = {
  nonce: 'n',
  csrf: 'c',
  person: 'ada',
  nowMs: 1_000_000,
  waiting: 0,
  isProposed: false,
  posture: { mode: 'team', isolationLevel: 2, warnings: [] },
}
const target: VaultTarget = {
  name: 'orders-db',
  kind: 'database',
  by: 'stream',
  newestCopy: { snapshot: 'ab'.repeat(32), madeAtMs: 900_000, retainUntilMs: 9_000_000 },
  wouldLoseMs: 0,
  restoreTookMs: 61_000,
  lastDrill: { passed: false, atMs: 950_000, why: '<b>differs</b>' },
  drilled: true,
  stream: { state: 'streaming', why: null, behindBytes: 0, durableAtMs: 999_000, provenAtMs: 990_000 },
  copies: 3,
  held: 1,
}
const view: VaultTargets = {
  atMs: 1_000_000,
  targets: [target, { ...target, name: 'other', by: null, newestCopy: null, wouldLoseMs: null, stream: null, drilled: false }],
  storage: { bytes: 2048, walBytes: 0, addedBytesPerDay: 10, bytesIn30Days: 2348, quotaBytes: null, freeBytes: 1 << 30 },
  holds: [{ snapshot: 'cd'.repeat(32), upstream: 'orders-db', reason: 'the <court>' }],
  worth: 'a folder',
  problem: null,
}

it('says what would be lost, how long having it back took, what it costs and what is held, and takes nobody’s text for markup', () => {
  const page = renderVault(frame, view)
  for (const said of [
    'nothing that was committed',
    'any second can be restored',
    'no proven copy',
    'all of it',
    'the &lt;court&gt;',
  ])
    expect(page).toContain(said)
  expect(page).not.toContain('<b>differs')
  expect(page).toContain('aria-current')
})

it('says first that the vault cannot be asked', () => {
  expect(renderVault(frame, { ...view, targets: [], storage: null, holds: [], problem: 'It is away.' })).toContain('It is away.')
})
