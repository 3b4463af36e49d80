import { createHash, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { readCanaries } from '../scan/canary.ts'
import { findProgram } from '../../../../tests/fakes/programs.ts'

const program = findProgram('cli')
let root: string
let folder: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sallyport-scan-test-'))
  folder = join(root, 'workspace')
  mkdirSync(folder)
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const shape = z.object({
  findings: z.array(
    z.object({
      file: z.string(),
      line: z.number(),
      kind: z.string(),
      hosts: z.array(z.string()),
      starts: z.string(),
      length: z.number(),
      sha256Prefix: z.string(),
      governedBy: z.string().nullable(),
      connector: z.string().nullable(),
      canary: z.boolean(),
    }),
  ),
  scanned: z.object({ files: z.number() }),
  skipped: z.record(z.string(), z.number()),
  complete: z.boolean(),
  canary: z.object({ file: z.string(), host: z.string(), sha256: z.string() }).nullable(),
})

interface Ran {
  readonly code: number | null
  readonly output: string
  readonly errors: string
}

function run(...words: readonly string[]): Ran {
  const ran = spawnSync(
    process.execPath,
    [program, 'scan', folder, '--state', join(root, 'state'), '--config', join(root, 'sallyport.yaml'), ...words],
    {
      cwd: root,
      encoding: 'utf8',
      timeout: 180_000,
    },
  )
  return { code: ran.status, output: ran.stdout, errors: ran.stderr }
}

function scan(...words: readonly string[]): z.infer<typeof shape> & { readonly code: number | null; readonly output: string } {
  const { code, output, errors } = run('--json', ...words)
  expect(errors).toBe('')
  return { ...shape.parse(JSON.parse(output)), code, output }
}

function put(path: string, text: string | Buffer): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), text)
}

/** Made anew each time, and joined here: a test file that holds a token would be found by every scanner. */
const letters = (count: number, alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'): string =>
  Array.from(randomBytes(count), (byte) => alphabet.charAt(byte % alphabet.length)).join('')
const jwt = (payload: object): string =>
  [{ alg: 'HS256', typ: 'JWT' }, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.') +
  `.${letters(43)}`

interface Case {
  readonly kind: string
  readonly secret: string
  readonly before?: string
  readonly host?: string
}

const privateKey = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
}).privateKey
const cases: readonly Case[] = [
  { kind: 'railway token', secret: randomUUID(), before: 'RAILWAY_TOKEN=', host: 'backboard.railway.com' },
  { kind: 'railway token', secret: randomUUID(), before: 'export RAILWAY_API_TOKEN="', host: 'backboard.railway.com' },
  { kind: 'railway token', secret: randomUUID(), before: '"railway-token": "', host: 'backboard.railway.com' },
  { kind: 'railway token', secret: randomUUID(), before: 'Project-Access-Token: ', host: 'backboard.railway.com' },
  { kind: 'heroku token', secret: randomUUID(), before: 'HEROKU_API_KEY=', host: 'api.heroku.com' },
  { kind: 'uuid token', secret: randomUUID(), before: 'DOMAINS_TOKEN=', host: 'backboard.railway.com' },
  { kind: 'uuid token', secret: randomUUID(), before: 'Authorization: Bearer ', host: 'backboard.railway.com' },
  { kind: 'aws access key', secret: 'AKIA' + letters(16, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'), host: 'amazonaws.com' },
  { kind: 'aws secret key', secret: letters(40), before: 'AWS_SECRET_ACCESS_KEY=', host: 'amazonaws.com' },
  { kind: 'gcp api key', secret: 'AIza' + letters(35), host: 'googleapis.com' },
  { kind: 'github token', secret: 'ghp_' + letters(36), host: 'api.github.com' },
  { kind: 'github token', secret: 'github_pat_' + letters(82), host: 'api.github.com' },
  { kind: 'gitlab token', secret: 'glpat-' + letters(20), host: 'gitlab.com' },
  { kind: 'stripe key', secret: 'sk_live_' + letters(24), host: 'api.stripe.com' },
  { kind: 'slack token', secret: 'xoxb-' + letters(12, '0123456789') + '-' + letters(24), host: 'slack.com' },
  { kind: 'npm token', secret: 'npm_' + letters(36) },
  { kind: 'supabase token', secret: 'sbp_' + letters(40, '0123456789abcdef'), host: 'api.supabase.com' },
  { kind: 'neon api key', secret: 'napi_' + letters(64, 'abcdefghijklmnopqrstuvwxyz0123456789'), host: 'console.neon.tech' },
  { kind: 'fly token', secret: 'fo1_' + letters(43), host: 'api.fly.io' },
  { kind: 'vercel token', secret: letters(24), before: 'VERCEL_TOKEN=', host: 'api.vercel.com' },
  { kind: 'cloudflare token', secret: letters(40), before: 'CLOUDFLARE_API_TOKEN=', host: 'api.cloudflare.com' },
  { kind: 'digitalocean token', secret: 'dop_v1_' + letters(64, '0123456789abcdef'), host: 'api.digitalocean.com' },
  {
    kind: 'connection string',
    secret: `postgres://app:${letters(20)}@db.shop.example:5432/shop`,
    before: 'DATABASE_URL=',
    host: 'db.shop.example',
  },
  { kind: 'connection string', secret: `redis://:${letters(20)}@cache.shop.example:6379`, host: 'cache.shop.example' },
  { kind: 'credential in a URL', secret: `https://keeper:${letters(20)}@git.shop.example/repo.git`, host: 'git.shop.example' },
  { kind: 'private key', secret: privateKey.trim() },
  { kind: 'jwt', secret: jwt({ iss: 'supabase', role: 'service_role' }), host: 'supabase.co' },
]

describe('finding', () => {
  test('every shape, in one file each, with its host; and no credential in the output', () => {
    for (const [index, { secret, before = 'key: ' }] of cases.entries()) put(`${index}.txt`, `first line\n  ${before}${secret}\n`)
    const { findings, code, output, complete } = scan()
    const said = run().output
    expect(code).toBe(1)
    expect(complete).toBe(true)
    for (const [index, { kind, secret, host }] of cases.entries()) {
      const sha256Prefix = createHash('sha256').update(secret).digest('hex').slice(0, 12)
      const found = findings.filter(({ file }) => file === `${index}.txt`)
      expect(
        found.map((one) => one.kind),
        `${index} ${kind}`,
      ).toContain(kind)
      const one = found.find((each) => each.kind === kind)
      expect(one, kind).toMatchObject({ line: 2, starts: secret.slice(0, 4), length: secret.length })
      expect(one?.sha256Prefix, kind).toBe(sha256Prefix)
      if (host !== undefined) expect(one?.hosts).toContain(host)
      for (const text of [output, said]) expect(text.includes(secret.slice(4, 16)), `${kind} is printed`).toBe(false)
    }
  })

  test('what secretlint knows and we do not; a comment in the file does not switch it off', () => {
    put('a.txt', `// secretlint-disable\nkey = "SG.${letters(22)}.${letters(43)}"\n`)
    expect(scan().findings).toMatchObject([{ kind: 'sendgrid (secretlint)', line: 2 }])
  })

  test('in UTF-16, in a repository’s own settings, in hidden files, behind a link’s target only once', () => {
    const token = (): string => `RAILWAY_TOKEN=${randomUUID()}\n`
    put('utf16', Buffer.from(`\ufeff${token()}`, 'utf16le'))
    put('.git/config', `[remote "origin"]\n  url = https://keeper:${letters(20)}@git.shop.example/repo.git\n`)
    put('.hidden/.env', token())
    put('node_modules/package/index.js', token())
    put('.git/objects/aa/bb', token())
    symlinkSync('.hidden', join(folder, 'link'))
    symlinkSync('/etc/passwd', join(folder, 'outside'))
    symlinkSync('.', join(folder, 'circle'))
    expect(
      scan()
        .findings.map(({ file }) => file)
        .sort(),
    ).toEqual(['.git/config', '.hidden/.env', 'utf16'])
  })

  test('placeholders, examples and identifiers are not credentials', () => {
    put(
      'README.md',
      [
        'DATABASE_URL=postgres://user:${PASSWORD}@localhost/db',
        'postgres://user:<password>@localhost/db',
        'postgres://user:****@localhost/db',
        'postgres://localhost/db',
        `RAILWAY_PROJECT_ID=${randomUUID()}`,
        `id: ${randomUUID()}`,
        'RAILWAY_TOKEN=00000000-0000-0000-0000-000000000000',
        'RAILWAY_TOKEN=$RAILWAY_TOKEN',
        'AWS_SECRET_ACCESS_KEY=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',
        'https://example.com/a:b@c',
        `integrity sha512-${letters(86)}==`,
      ].join('\n'),
    )
    expect(scan()).toMatchObject({ code: 0, findings: [], complete: true })
    expect(run().output).toBe('No stray credential in 1 files.\n')
  })
})

describe('whose it is', () => {
  test('the upstream that governs its host, by what the configuration says or its reference leads to', () => {
    mkdirSync(join(root, 'secrets'))
    writeFileSync(join(root, 'secrets', 'shop.use'), 'postgres://gate:secret@db.shop.example:5432/shop\n', { mode: 0o600 })
    writeFileSync(
      join(root, 'sallyport.yaml'),
      `version: 1\nupstreams:\n  shop:\n    protocol: postgres\n    use: file:secrets/shop.use\n  cloud:\n    protocol: http\n    hosts: [backboard.railway.com]\n    authorities: api.github.com\n    use: exec:touch ${join(root, 'ran')}\n`,
    )
    put(
      'a.env',
      `RAILWAY_TOKEN=${randomUUID()}\nDATABASE_URL=postgres://app:${letters(20)}@db.shop.example/shop\nKEY=ghp_${letters(36)}\n`,
    )
    expect(scan().findings).toMatchObject([
      { kind: 'railway token', governedBy: 'cloud', connector: 'railway' },
      { kind: 'connection string', governedBy: 'shop', connector: null },
      { kind: 'github token', governedBy: null, connector: null },
    ])
    expect(run().output).toContain('governed as "cloud", where the gate refuses it as foreign')
    expect(() => statSync(join(root, 'ran'))).toThrow('ENOENT')
  })
})

describe('limits', () => {
  test('binary and large files are counted; what is past a limit, or can not be read, makes the scan incomplete', () => {
    put('binary', Buffer.concat([Buffer.from(`RAILWAY_TOKEN=${randomUUID()}`), Buffer.alloc(8)]))
    put('large', 'a '.repeat(2 * 1024 * 1024))
    expect(scan()).toMatchObject({ code: 0, complete: true, skipped: { binary: 1, tooLarge: 1 } })
    put(`${'deep/'.repeat(40)}file`, 'x')
    expect(scan()).toMatchObject({ code: 1, complete: false, skipped: { beyondLimit: 1 } })
  })

  test('a pipe is not waited for', () => {
    execFileSync('mkfifo', [join(folder, 'pipe')])
    expect(scan()).toMatchObject({ code: 0, findings: [] })
  })

  test('a text made to keep patterns busy is read in time', () => {
    put('slow', 'postgres://'.repeat(20_000) + 'a_'.repeat(100_000) + '-----BEGIN PRIVATE KEY-----'.repeat(5_000))
    put('slower', `${'TOKEN = '.repeat(50_000)}${'eyJ'.repeat(50_000)}${'https://a:'.repeat(30_000)}`)
    const startedMs = Date.now()
    scan()
    expect(Date.now() - startedMs).toBeLessThan(120_000)
  })

  test('a name of a file that moves the cursor is shown as what it is', () => {
    put('a\u001b[2K\u202e.env', `RAILWAY_TOKEN=${randomUUID()}\n`)
    const { output } = run()
    expect(output).toContain('⟦U+001B⟧')
    expect(output).not.toContain('\u001b')
  })

  test('no folder, a file: said, with the code for a wrong command line', () => {
    rmSync(folder, { recursive: true })
    expect(run()).toMatchObject({ code: 2, output: '' })
    writeFileSync(folder, '')
    expect(run()).toMatchObject({ code: 2 })
  })
})

describe('canary', () => {
  test('is planted, known by its hash only, found again as one, and never overwrites', () => {
    const { canary, code, findings } = scan('--canary')
    expect(code).toBe(0)
    expect(findings).toMatchObject([{ file: '.env.domains', kind: 'railway token', canary: true }])
    const token = /TOKEN=(.+)\n/.exec(readFileSync(join(folder, '.env.domains'), 'utf8'))?.[1] ?? ''
    const state = readFileSync(join(root, 'state', 'canaries.json'), 'utf8')
    expect(state).not.toContain(token)
    expect(readCanaries(join(root, 'state'))).toMatchObject([
      { sha256: createHash('sha256').update(token).digest('hex'), file: canary?.file, host: 'backboard.railway.com' },
    ])
    expect(statSync(join(root, 'state', 'canaries.json')).mode & 0o777).toBe(0o600)
    expect(run('--canary')).toMatchObject({ code: 2 })
    expect(readFileSync(join(folder, '.env.domains'), 'utf8')).toContain(token)
    const stray = randomUUID()
    put('other.env', `RAILWAY_TOKEN=${stray}\n`)
    const again = scan()
    expect(again.code).toBe(1)
    expect(again.findings.filter(({ canary }) => !canary)).toHaveLength(1)
    chmodSync(folder, 0o700)
  })
})
