import { SallyportError } from '@sallyport/core'
import { describe, expect, it } from 'vitest'
import { Ties, type TiedUpstream } from './ties.ts'

class FakeTie implements TiedUpstream {
  readonly upstream = { name: 'production', identity: '7:1', environment: 'production', access: { kind: 'none' } } as const
  readonly done: string[] = []
  whenEnded: () => Promise<void> = () => Promise.resolve()

  async end(commit: boolean): Promise<void> {
    this.done.push(commit ? 'commit' : 'roll back')
    await this.whenEnded()
  }

  close(): void {
    this.done.push('close')
  }
}

describe('the ways of one request into other upstreams', () => {
  it('are one for each thing, so that locks taken by looking hold while it is copied', async () => {
    let opened = 0
    const tie = new FakeTie()
    const ties = new Ties(async () => {
      opened += 1
      return tie
    })
    expect(await ties.find('volume', 'v')).toBe(tie.upstream)
    expect(await ties.find('volume', 'v')).toBe(tie.upstream)
    expect(opened).toBe(1)
    expect(tie.done).toEqual([])
    await ties.rest()
    await ties.leave()
    expect(tie.done).toEqual(['roll back', 'roll back', 'close'])
  })

  it('nothing tied is null; a way that did not open is tried again; 17 are too many', async () => {
    expect(await new Ties(() => null).find('volume', 'v')).toBe(null)
    let tries = 0
    const flaky = new Ties(async () => {
      tries += 1
      if (tries === 1) throw new SallyportError('upstream_unavailable', 'It is gone.', 'Nothing.', 'Wait.')
      return new FakeTie()
    })
    await expect(flaky.find('volume', 'v')).rejects.toMatchObject({ code: 'upstream_unavailable' })
    expect(await flaky.find('volume', 'v')).not.toBe(null)
    const many = new Ties(async () => new FakeTie())
    for (let n = 0; n < 16; n += 1) await many.find('volume', `v${n}`)
    await expect(many.find('volume', 'one more')).rejects.toMatchObject({ code: 'limit_exceeded' })
  })

  it('once left, opens nothing more; a server that is gone or hangs does not hold the answer', async () => {
    const gone = new FakeTie()
    gone.whenEnded = () => Promise.reject(new Error('the connection broke'))
    const ties = new Ties(async () => gone)
    await ties.find('volume', 'v')
    await ties.leave()
    expect(gone.done).toEqual(['roll back', 'close'])
    await expect(ties.find('volume', 'other')).rejects.toMatchObject({ code: 'limit_exceeded' })
    const hanging = new FakeTie()
    hanging.whenEnded = () => new Promise(() => undefined)
    const patient = new Ties(async () => hanging)
    await patient.find('volume', 'v')
    await patient.leave()
    expect(hanging.done).toEqual(['roll back', 'close'])
  })
})
