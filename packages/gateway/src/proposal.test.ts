import { describe, expect, test } from 'vitest'
import { parseConfig, type Config } from './config.ts'
import { propose, readProposal, settleConfiguration, type Start, type StoredConfiguration } from './proposal.ts'
import { acceptedOf } from './widening.ts'

function configOf(may: string, more = ''): Config {
  const text = `version: 1
upstreams:
  orders-db: { protocol: postgres, use: file:use }
agents:
  coder: { owner: ada, may: [${may}] }
${more}`
  const read = parseConfig(text, '/etc/sallyport.yaml')
  if (!read.ok) throw new Error(JSON.stringify(read.mistakes))
  return read.config
}

const narrow = configOf('read orders-db')
const wide = configOf('any orders-db')
const kept: StoredConfiguration = { accepted: JSON.stringify(acceptedOf(narrow)), text: narrow.text, proposal: null }
const start: Start = { isAccepted: false, isOwn: false, enrolled: 1, nowMs: 1_000 }

/** What waits for people, as accepted by enough of them. */
function accepted(changes: object = {}): StoredConfiguration {
  return { ...kept, proposal: JSON.stringify({ ...propose(wide, acceptedOf(narrow), 0), notBeforeMs: 1_000, ...changes }) }
}

describe('which configuration holds', () => {
  test('a wider file proposes: what was accepted last is in force, and what it would give is said', () => {
    const settled = settleConfiguration(wide, kept, start)
    expect(settled.config.text).toBe(narrow.text)
    expect(settled.widened).toEqual([])
    expect(settled.proposal).toMatchObject({
      widenings: ['agents: coder may do more: any orders-db'],
      text: wide.text,
      notBeforeMs: null,
    })
  })

  test('accepted by enough people, its time come, it is in force, and says what is new', () => {
    expect(settleConfiguration(wide, accepted(), start)).toEqual({
      config: wide,
      widened: ['agents: coder may do more: any orders-db'],
      proposal: null,
    })
  })

  test.each([
    ['too early', accepted({ notBeforeMs: 1_001 })],
    ['accepted by too few', accepted({ notBeforeMs: null })],
    ['of another file', accepted({ digest: 'f'.repeat(64) })],
    ['compared with something else than is in force', accepted({ before: 'f'.repeat(64) })],
    ['of another version', accepted({ v: 2 })],
    ['not to be read', { ...kept, proposal: '{' }],
  ])('an acceptance that is %s gives nothing', (_what, stored) => {
    const settled = settleConfiguration(wide, stored, start)
    expect(settled.config.text).toBe(narrow.text)
    expect(settled.proposal).not.toBeNull()
  })

  test('what was accepted is that file: one that gives still more is another proposal', () => {
    const wider = configOf('any orders-db', '  other: { owner: eve, may: [any orders-db] }')
    const settled = settleConfiguration(wider, accepted(), start)
    expect(settled.config.text).toBe(narrow.text)
    expect(settled.proposal?.notBeforeMs).toBeNull()
    expect(settled.proposal?.widenings).toContain('agents: other was added')
  })

  test('comments do not make it another; an acceptance given before the gate stopped is kept', () => {
    const commented = configOf('any orders-db', '# tidy\n')
    expect(settleConfiguration(commented, accepted(), start).config).toBe(commented)
    const waiting = accepted({ notBeforeMs: 5_000, acceptances: [{ person: 'ada', credentialId: 'x', atMs: 1 }] })
    expect(settleConfiguration(commented, waiting, start).proposal).toEqual(readProposal(waiting.proposal))
  })

  test('narrowing asks nobody, and what waited is gone', () => {
    expect(settleConfiguration(narrow, accepted(), start)).toEqual({ config: narrow, widened: [], proposal: null })
  })

  test('saying so at the start accepts while nobody is enrolled, and nothing once somebody is', () => {
    const said = { ...start, isAccepted: true }
    expect(settleConfiguration(wide, kept, { ...said, enrolled: 0 }).config).toBe(wide)
    expect(() => settleConfiguration(wide, kept, { ...start, enrolled: 0 })).toThrow(/coder may do more/)
    expect(settleConfiguration(wide, kept, said).config.text).toBe(narrow.text)
  })

  test('a first start, and a file of whoever starts it, hold as they are', () => {
    const first = { accepted: null, text: null, proposal: null }
    expect(settleConfiguration(wide, first, start).config).toBe(wide)
    expect(settleConfiguration(wide, kept, { ...start, isOwn: true })).toMatchObject({ config: wide, proposal: null })
  })

  test.each([
    ['the text was not kept', { ...kept, text: null }],
    ['the text no longer means what was accepted', { ...kept, text: wide.text }],
    ['the text is none', { ...kept, text: 'version: 9' }],
    ['what was accepted cannot be read', { ...kept, accepted: '{}' }],
  ])('nothing starts where there is nothing to fall back on: %s', (_what, stored) => {
    expect(() => settleConfiguration(wide, stored, start)).toThrow(expect.objectContaining({ code: 'refused_by_guard' }))
  })

  test('nor where copies would go elsewhere: whoever started the vault read the file too', () => {
    const elsewhere = configOf('read orders-db', 'vault: { buckets: ["s3://copies/x?region=eu"] }')
    expect(() => settleConfiguration(elsewhere, kept, start)).toThrow(/vault: copies no longer go to the folder/)
  })
})
