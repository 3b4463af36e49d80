import { describe, expect, it } from 'vitest'
import { encodeEntry, type Event } from '@sallyport/core'
import { lineOf, matches, searchShape } from './log-search.ts'

const event: Event = {
  type: 'intent',
  atMs: Date.parse('2026-11-22T10:00:00Z'),
  session: 'abcdef0123456789',
  agent: 'coder',
  data: { request: '99887766aabb', text: 'DROP TABLE "Orders"\u202e' },
}
const find = (search: object, of: Event = event): unknown => matches(encodeEntry(of), searchShape.parse(search))

describe('a search of the log', () => {
  it.each([
    [{}],
    [{ session: 'abcd' }],
    [{ agent: 'coder' }],
    [{ type: ['kill', 'intent'] }],
    [{ request: '9988' }],
    [{ text: 'drop table' }],
    [{ since: '2026-11-22T10:00:00Z', until: '2026-11-22T11:00:00+01:00' }],
  ])('finds what has all of %j', (search) => expect(find(search)).toEqual(event))

  it.each([
    [{ session: 'bcde' }],
    [{ agent: 'code' }],
    [{ type: ['kill'] }],
    [{ request: '7766' }],
    [{ text: 'truncate' }],
    [{ since: '2026-11-22T10:00:01Z' }],
    [{ until: '2026-11-22T09:59:59Z' }],
    [{ agent: 'coder', text: 'truncate' }],
  ])('leaves out what has not all of %j', (search) => expect(find(search)).toBeNull())

  it('finds a session among counted reads', () => {
    const reads: Event = { type: 'reads', atMs: 1, data: { reads: [{ session: 'other000' }, { session: 'abcdef01' }] } }
    expect(find({ session: 'abcdef' }, reads)).toEqual(reads)
    expect(find({ session: 'ffff' }, reads)).toBeNull()
  })

  it('never leaves out what it cannot read', () => {
    expect(matches(Buffer.from('{}'), searchShape.parse({ agent: 'nobody' }))).toBe('unreadable')
  })

  it('shows a line in which nothing is hidden', () => {
    const line = lineOf(7, event)
    expect(line).toMatch(/^7 2026-11-22T10:00:00\.000Z intent coder \(abcdef01\) {2}DROP TABLE "Orders"/)
    expect(line).not.toContain('\u202e')
    expect(lineOf(8, { ...event, data: { text: 'x'.repeat(5_000) } }).length).toBeLessThan(300)
  })
})
