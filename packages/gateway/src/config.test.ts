import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseConfig } from './config.ts'
import { findTie } from './upstream-settings.ts'

const good = `version: 1
mode: team
upstreams:
  orders-db:
    protocol: postgres
    use: file:secrets/use
agents:
  coder:
    owner: ada
    may:
      - read orders-db
`

describe('parseConfig', () => {
  it('reads a small file; absent environment is production, absent protect is use', () => {
    const result = parseConfig(good, 'sallyport.yaml')
    if (!result.ok) throw new Error(JSON.stringify(result.mistakes))
    expect(result.config.upstreams).toEqual([
      {
        name: 'orders-db',
        protocol: 'postgres',
        environment: 'production',
        use: 'file:secrets/use',
        protect: 'file:secrets/use',
        warm: 2,
      },
    ])
    expect(result.config).toMatchObject({
      mode: 'team',
      coolOffMs: 900_000,
      retainMs: 604_800_000,
      rowsWithoutPrompt: 1000,
      listen: { postgres: { host: '127.0.0.1', port: 6432 } },
    })
  })

  it('a role of an agent’s own is a reference, and of an agent that there is', () => {
    const withOwn = (line: string): ReturnType<typeof parseConfig> =>
      parseConfig(good.replace('use: file:secrets/use', `use: file:secrets/use\n    as:\n      ${line}`), 'sallyport.yaml')
    const result = withOwn('coder: file:secrets/orders-db.coder.use')
    expect(result.ok && result.config.upstreams[0]).toMatchObject({ as: { coder: 'file:secrets/orders-db.coder.use' } })
    for (const [line, named] of [
      ['codr: file:secrets/x', 'codr'],
      ['constructor: file:secrets/x', 'constructor'],
      ['coder: postgres://a:secret@db/orders', 'reference'],
    ] as const) {
      const wrong = withOwn(line)
      if (wrong.ok) throw new Error('accepted')
      expect(wrong.mistakes).toMatchObject([{ line: 8 }])
      expect(JSON.stringify(wrong.mistakes)).toContain(named)
      expect(JSON.stringify(wrong.mistakes)).not.toContain('secret@')
    }
  })

  it('says all five mistakes at once, each with its line and a hint', () => {
    const bad = `version: 1
mode: alone
upstreams:
  orders-db:
    protocol: postgres
    enviroment: production
    use: postgres://app:secret@db/orders
agents:
  coder:
    owner: ada
    may:
      - erase orders-db
coolOff: soon
`
    const result = parseConfig(bad, 'sallyport.yaml')
    if (result.ok) throw new Error('accepted')
    expect(result.mistakes.map(({ line }) => line)).toEqual([2, 6, 7, 12, 13])
    for (const { what, hint } of result.mistakes) {
      expect(what.length).toBeGreaterThan(5)
      expect(hint.length).toBeGreaterThan(5)
      expect(what + hint).not.toContain('secret@')
    }
  })

  it('refuses a scope on an upstream that is not there, duplicate keys, aliases, and what is no YAML', () => {
    expect(parseConfig(good.replace('read orders-db', 'read order-db'), 'x')).toMatchObject({
      ok: false,
      mistakes: [{ line: 11 }],
    })
    expect(parseConfig(`${good}mode: solo\n`, 'x').ok).toBe(false)
    expect(parseConfig(`${good}coolOff: &a 1m\nretention: *a\n`, 'x')).toMatchObject({
      ok: false,
      mistakes: [{ what: expect.stringContaining('aliases') }],
    })
    expect(parseConfig('a: [1, 2', 'x').ok).toBe(false)
    expect(parseConfig('', 'x').ok).toBe(false)
    expect(parseConfig('version: 2', 'x').ok).toBe(false)
  })

  const withCloud = good.replace(
    'agents:',
    `  cloud:
    protocol: http
    connector: railway
    hosts: [backboard.railway.com]
    use: file:secrets/cloud
    tied:
      volume:
        7f4c-1: orders-db
agents:`,
  )

  it('ties a volume to the database on it', () => {
    const result = parseConfig(withCloud, 'x')
    if (!result.ok) throw new Error(JSON.stringify(result.mistakes))
    expect(result.config.upstreams[1]).toMatchObject({ tied: { volume: { '7f4c-1': 'orders-db' } } })
    expect(findTie(result.config, 'cloud', 'volume', '7f4c-1')).toBe('orders-db')
    for (const [upstream, type, id] of [
      ['orders-db', 'volume', '7f4c-1'],
      ['cloud', 'project', '7f4c-1'],
      ['cloud', 'volume', '7f4c-2'],
      ['cloud', 'toString', '7f4c-1'],
      ['cloud', 'volume', 'constructor'],
    ] as const)
      expect(findTie(result.config, upstream, type, id), `${upstream} ${type} ${id}`).toBe(null)
  })

  it.each([
    ['a tie to nothing', withCloud.replace('7f4c-1: orders-db', '7f4c-1: order-db'), 14],
    ['a tie to an API', withCloud.replace('7f4c-1: orders-db', '7f4c-1: cloud'), 14],
    ['a volume by its name', withCloud.replace('7f4c-1:', '"my volume":'), 14],
    ['a tie of another kind', withCloud.replace('volume:', 'disk:'), 13],
    ['a connector that is not there', withCloud.replace('railway\n', 'fly\n'), 9],
    ['a connector of another protocol', withCloud.replace('railway\n', 'postgres\n'), 9],
  ])('refuses %s, and says where', (_name, text, line) => {
    const result = parseConfig(text, 'x')
    expect(result).toMatchObject({ ok: false, mistakes: [{ line }] })
  })

  it.each(['README.md', 'docs/how-to/cloud-api.md', 'docs/how-to/least-privilege.md'])('reads what %s shows', (path) => {
    const text = readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
    const [, yaml = ''] = /```yaml\n([^]*?)```/.exec(text) ?? []
    const whole = yaml.startsWith('version') ? yaml : `version: 1\n${yaml}`
    // The README's example also speaks of a staging database that it leaves out.
    const complete = whole.replace(
      /^agents:/m,
      '  staging:\n    protocol: postgres\n    environment: staging\n    use: file:x\nagents:',
    )
    expect(parseConfig(complete, path)).toMatchObject({ ok: true })
  })

  it('hears other machines over TLS only', () => {
    const listening = (listen: string): string => `${good}listen:\n${listen}`
    expect(parseConfig(listening('  postgres: 0.0.0.0:6432\n'), 'x')).toMatchObject({ ok: false, mistakes: [{ line: 13 }] })
    const secure = parseConfig(listening('  postgres: 0.0.0.0:6432\n  tls: { name: gate.internal }\n'), 'x')
    expect(secure).toMatchObject({ ok: true, config: { listen: { tls: { name: 'gate.internal', files: null } } } })
    for (const listen of [
      '  control: 0.0.0.0:6480\n  tls: { name: gate.internal }\n',
      '  tls: { name: gate.internal, key: k.pem }\n',
      '  tls: { name: "*.internal" }\n',
    ])
      expect(parseConfig(listening(listen), 'x').ok, listen).toBe(false)
  })

  it('names hosts that are passed on unread, exactly, and none that is governed', () => {
    const unread = `${withCloud.replace('- read orders-db', '- read orders-db\n      - read packages')}unread:\n  packages: [packages.example.com]\n`
    const result = parseConfig(unread, 'x')
    expect(result).toMatchObject({
      ok: true,
      config: { unread: { packages: ['packages.example.com'] }, listen: { http: { port: 6443 } } },
    })
    for (const [from, to] of [
      ['packages.example.com', 'backboard.railway.com'],
      ['packages.example.com', '"*.example.com"'],
      ['packages.example.com', 'packages.example.com:22'],
      ['packages.example.com', 'Packages.example.com'],
      ['  packages: [', '  cloud: ['],
      ['[packages.example.com]', '[]'],
    ] as const)
      expect(parseConfig(unread.replace(from, to), 'x').ok, to).toBe(false)
  })
})
