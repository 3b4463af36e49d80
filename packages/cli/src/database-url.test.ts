import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { clientConfig, parseDatabaseUrl } from './database-url.ts'

describe('parseDatabaseUrl', () => {
  test('reads every part, decoded', () => {
    const database = parseDatabaseUrl('  postgresql://us%40er:p%23ss%2Fw@[::1]:6000/my%20db?sslmode=disable\n')
    expect(database).toMatchObject({
      user: 'us@er',
      password: 'p#ss/w',
      host: '::1',
      port: 6000,
      database: 'my db',
      sslmode: 'disable',
    })
    expect(database.label).not.toContain('p#ss')
  })

  test('encryption is said, not guessed, off this machine', () => {
    const ssl = (rest: string): unknown => clientConfig(parseDatabaseUrl(`postgres://a:b@${rest}`)).ssl
    expect(ssl('db.example.com/x?sslmode=verify-full')).toBe(true)
    expect(ssl('db.example.com/x?sslmode=require')).toEqual({ rejectUnauthorized: false })
    expect(ssl('127.0.0.1/x')).toBe(false)
    for (const rest of [
      'db.example.com/x',
      '127.0.0.1.example.com/x',
      'db.example.com/x?sslmode=prefer',
      '127.0.0.1/x?host=db.example.com',
    ]) {
      expect(() => ssl(rest)).toThrow(/sslmode|parameter/)
    }
  })

  test.each([
    ['empty', '', 'empty'],
    ['another scheme', 'mysql://app:hunter2hunter2@db/shop', 'postgres://'],
    ['no user', 'postgres://db.example.com/shop', 'no user'],
    ['no database', 'postgres://app:hunter2hunter2@db.example.com', 'no database'],
    ['no host', 'postgres:///shop', 'no host'],
    ['two lines', 'postgres://app:hunter2hunter2@db/shop\npostgres://app:x@db/shop', 'more than one line'],
    ['an unescaped #', 'postgres://app:hunter2#hunter2@db/shop', ''],
    ['an unescaped %', 'postgres://app:hunter2%hunter2@db/shop', '%25'],
    ['an unescaped /', 'postgres://app:hunter2/hunter2@db/shop', ''],
    ['a wrong port', 'postgres://app:hunter2hunter2@db:99999/shop', ''],
    ['an unknown sslmode', 'postgres://app:hunter2hunter2@db/shop?sslmode=hunter2', 'sslmode'],
  ])('%s is refused without being repeated', (_, url, named) => {
    try {
      parseDatabaseUrl(url)
      expect.unreachable()
    } catch (error) {
      const text = JSON.stringify(error) + String(error)
      expect(text).toContain(named)
      expect(text).not.toContain('hunter2')
    }
  })

  test('whatever is pasted, an error repeats no part of it', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[!-~]{12,40}$/), (secret) => {
        try {
          parseDatabaseUrl(`postgres://app:${secret}@db.example.com/shop?sslmode=require`)
        } catch (error) {
          expect(String(error)).not.toContain(secret)
        }
      }),
    )
  })
})
