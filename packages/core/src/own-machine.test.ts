import { describe, expect, it } from 'vitest'
import { isOwnAddress, isOwnHost } from './own-machine.ts'

describe('what crosses no network', () => {
  it('is an address of this machine', () => {
    for (const address of ['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1', '::FFFF:127.0.0.1'])
      expect(isOwnAddress(address)).toBe(true)
    for (const address of [undefined, '', '10.0.0.1', '::ffff:10.0.0.1', '::', '127.0.0.1.example.com', '128.0.0.1', 'fe80::1'])
      expect(isOwnAddress(address)).toBe(false)
  })

  it('is a host that names it, and none that only begins like one', () => {
    for (const host of ['localhost', 'LOCALHOST', '127.0.0.1', '127.1.2.3', '::1']) expect(isOwnHost(host)).toBe(true)
    for (const host of ['localhost.example.com', '127.0.0.1.example.com', '127.example.com', '0.0.0.0', '::', '', 'localhost.'])
      expect(isOwnHost(host)).toBe(false)
  })
})
