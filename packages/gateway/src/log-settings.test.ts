import { describe, expect, it } from 'vitest'
import { acceptedLogOf, findLogWidenings, logSchema } from './log-settings.ts'

const of = (given: object) => acceptedLogOf(logSchema.parse(given))

describe('what becomes of old entries of the log', () => {
  it('is: they stay, unless somebody says otherwise', () => {
    expect(logSchema.parse({})).toMatchObject({ dropArchived: false })
    expect(logSchema.parse({}).archiveAfter).toBeUndefined()
    expect(logSchema.safeParse({ dropArchived: true }).success).toBe(false)
  })

  it('takes a person where less is kept, or for less long', () => {
    const archived = { archiveAfter: '90d' }
    expect(findLogWidenings(of({}), of(archived))).toEqual([])
    expect(findLogWidenings(of(archived), of({ ...archived, dropArchived: true }))).toHaveLength(1)
    expect(findLogWidenings(of({}), of({ ...archived, dropArchived: true }))).toHaveLength(1)
    expect(findLogWidenings(of(archived), of({ ...archived, archiveFor: '30d' }))).toEqual([
      'log: the vault keeps old entries for 30 days, not 3650',
    ])
    expect(findLogWidenings(of({ ...archived, dropArchived: true }), of(archived))).toEqual([])
  })
})
