import { describe, expect, it } from 'vitest'
import { Awakening } from './awakening.ts'
import { VaultFailure } from './failure.ts'

const unreachable = (): VaultFailure => new VaultFailure('store_unreachable', 'The bucket copies cannot be reached.')

describe('a start that needs a place which cannot be reached', () => {
  it('goes on, says why, and wakes when the place is back', async () => {
    let tries = 0
    const awakening = new Awakening(async () => {
      tries += 1
      if (tries < 4) throw unreachable()
      return 'awake'
    }, 1)
    await awakening.begin()
    expect(awakening.awake).toBeNull()
    expect(awakening.reason).toContain('cannot be reached')
    await expect.poll(() => awakening.awake).toBe('awake')
    expect(awakening.reason).toBeNull()
    expect(tries).toBe(4)
    await awakening.end()
  })

  it('fails for what trying again does not mend', async () => {
    const awakening = new Awakening(() => Promise.reject(new VaultFailure('bad_request', 'It has no Object Lock.')), 1)
    await expect(awakening.begin()).rejects.toThrow('no Object Lock')
    await awakening.end()
  })

  it('is not taken for awake when the place comes back without its lock', async () => {
    let tries = 0
    const awakening = new Awakening(async () => {
      tries += 1
      throw tries === 1 ? unreachable() : new VaultFailure('bad_request', 'It has no Object Lock.')
    }, 1)
    await awakening.begin()
    await expect.poll(() => awakening.reason).toContain('no Object Lock')
    expect(awakening.awake).toBeNull()
    await awakening.end()
  })

  it('tries no more once it was ended', async () => {
    let tries = 0
    const awakening = new Awakening(async () => {
      tries += 1
      throw unreachable()
    }, 1)
    await awakening.begin()
    await awakening.end()
    const after = tries
    await new Promise((resolve) => setImmediate(resolve))
    expect(tries).toBe(after)
  })
})
