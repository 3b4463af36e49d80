import { describe, expect, it } from 'vitest'
import { continuousSchema, findContinuousWidenings } from './continuous-settings.ts'

const whole = continuousSchema.parse({})
const find = (after: Parameters<typeof findContinuousWidenings>[1]): readonly string[] =>
  findContinuousWidenings({ 'orders-db': whole }, after, ['orders-db'])

describe('continuous protection in sallyport.yaml', () => {
  it('needs nothing said: a week, a base copy a day, five seconds, tried for real', () => {
    expect(whole).toEqual({ keep: 7 * 86_400_000, base: 86_400_000, every: 5_000, drill: true })
  })

  it('refuses what would be no protection, and what it does not know', () => {
    for (const wrong of [{ keep: '5m' }, { base: '1s' }, { every: '2h' }, { every: '1ms' }, { forever: true }, { keep: 'long' }])
      expect(continuousSchema.safeParse(wrong).success, JSON.stringify(wrong)).toBe(false)
  })

  it('gives more to whoever destroys by each way of having less of it', () => {
    expect(find({ 'orders-db': whole })).toEqual([])
    expect(find({ 'orders-db': { ...whole, keep: whole.keep * 2, base: whole.base / 2, every: 1_000 } })).toEqual([])
    expect(find({})).toEqual(['upstreams: orders-db is no longer protected continuously'])
    for (const less of [{ keep: whole.keep - 1 }, { base: whole.base + 1 }, { every: whole.every + 1 }, { drill: false }])
      expect(find({ 'orders-db': { ...whole, ...less } }), JSON.stringify(less)).toHaveLength(1)
  })

  it('is not missed of an upstream that is gone, and is none of one that never had it', () => {
    expect(findContinuousWidenings({ 'orders-db': whole }, {}, [])).toEqual([])
    expect(findContinuousWidenings({}, { 'orders-db': whole }, ['orders-db'])).toEqual([])
  })
})
