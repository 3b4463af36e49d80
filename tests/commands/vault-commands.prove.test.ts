import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateBucketCommand, DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { startObjectStore, type ObjectStore } from '../servers/object-store.ts'
import { sallyport, startUp } from './sallyport.ts'

/** The commands about copies as a person types them, against one gate and one vault with a folder and a bucket under Object Lock. */
const home = mkdtempSync(join(tmpdir(), 'sp-typed-'))
const pairShape = z.object({ identity: z.string(), recipient: z.string() })
const copyShape = z.object({ snapshot: z.string(), rows: z.number() })
const listShape = z.object({ snapshots: z.array(z.object({ id: z.string() })) })
const content = Buffer.alloc(200_000, 'the papers ')
let server: ObjectStore
let up: { stop(): Promise<void> } | null = null
let copies = ''
let papers = ''
let images = ''

const type = (...words: readonly string[]): ReturnType<typeof sallyport> => sallyport(home, ...words)

beforeAll(async () => {
  server = await startObjectStore()
  copies = await server.makeBucket('copies')
  const Bucket = 'images'
  await server.client.send(new CreateBucketCommand({ Bucket }))
  for (const Key of ['a.png', 'b.png']) await server.client.send(new PutObjectCommand({ Bucket, Key, Body: `pixels of ${Key}` }))
  mkdirSync(join(home, 'papers'))
  writeFileSync(join(home, 'papers', 'will.txt'), content)
  const pair = pairShape.parse(JSON.parse((await type('vault', 'recovery-pair', '--json')).out))
  writeFileSync(join(home, 'identity'), `# kept in a safe\n${pair.identity}\n`, { mode: 0o600 })
  const configuration = {
    version: 1,
    mode: 'team',
    listen: { postgres: '127.0.0.1:0', control: 'localhost:0' },
    upstreams: {},
    agents: {},
    retention: '1d',
    vault: { buckets: [copies], credential: `file:${server.credentialFile}`, folder: true, recovery: [pair.recipient] },
    keep: {
      papers: { folder: join(home, 'papers') },
      images: {
        bucket: `s3://images?endpoint=${encodeURIComponent(server.endpoint)}`,
        credential: `file:${server.credentialFile}`,
      },
    },
  }
  writeFileSync(join(home, 'sallyport.yaml'), JSON.stringify(configuration), { mode: 0o600 })
  up = await startUp(home)
}, 180_000)
afterAll(async () => {
  await up?.stop()
  await server.stop()
  rmSync(home, { recursive: true, force: true })
})

describe('typed while the gate runs', { timeout: 120_000 }, () => {
  it('vault copy', async () => {
    const copied = await type('vault', 'copy', 'papers', '--json')
    expect(copied).toMatchObject({ code: 0 })
    papers = copyShape.parse(JSON.parse(copied.out)).snapshot
    const objects = await type('vault', 'copy', 'images')
    expect(objects).toMatchObject({ code: 0, out: expect.stringMatching(/^Snapshot [0-9a-f]{16} of images: 2 /) })
    const unknown = await type('vault', 'copy', 'nothing')
    expect(unknown.code).not.toBe(0)
    expect(unknown.said).toContain('papers, images')
  })

  it('vault list, also as JSON: what would be lost, how long a restore took, what it takes', async () => {
    const listed = await type('vault', 'list')
    expect(listed.out).toMatch(/KEPT {2}papers {2}folder {2}would lose .*never restored, no drill yet/)
    expect(listed.out).toMatch(/Copies take .* a day adds .* in 30 days about /)
    const { out, code } = await type('vault', 'list', '--json')
    expect(code).toBe(0)
    const json: unknown = JSON.parse(out)
    expect(json).toMatchObject({
      damaged: [],
      targets: { targets: [{ name: 'papers', by: 'copy', held: 0 }, { name: 'images' }], storage: { quotaBytes: null } },
    })
    images = listShape.parse(json).snapshots.find(({ id }) => id !== papers)?.id ?? ''
  })

  it('drill restore, of one thing and of everything', async () => {
    expect(await type('drill', 'restore', 'papers')).toMatchObject({ code: 0, out: expect.stringMatching(/^passed {2}papers/) })
    const all = await type('drill', 'restore', '--json')
    expect(all.code).toBe(0)
    expect(all.out.trim().split('\n')).toHaveLength(2)
    expect((await type('vault', 'list')).out).toMatch(/KEPT {2}images {2}bucket {2}would lose .*restored in .*drill passed/)
  })

  it('vault take', async () => {
    const { out, code } = await type('vault', 'take', 'papers', 'will.txt', '--json')
    expect(code).toBe(0)
    const { file } = z.object({ file: z.string() }).parse(JSON.parse(out))
    expect(readFileSync(file).equals(content)).toBe(true)
    expect((await type('vault', 'take', 'papers', 'nothing.txt')).code).toBe(1)
  })

  it('vault put-back: what is missing comes back, what is there stays', async () => {
    await server.client.send(new DeleteObjectCommand({ Bucket: 'images', Key: 'b.png' }))
    expect(await type('vault', 'put-back', 'images')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^1 put back .* 1 were/),
    })
    const { Body } = await server.client.send(new GetObjectCommand({ Bucket: 'images', Key: 'b.png' }))
    expect(await Body?.transformToString()).toBe('pixels of b.png')
    await server.client.send(new PutObjectCommand({ Bucket: 'images', Key: 'a.png', Body: 'newer pixels' }))
    const left = await type('vault', 'put-back', 'images')
    expect(left).toMatchObject({ code: 1, out: expect.stringMatching(/1 are there with other content[^]* {2}a\.png/) })
    const beside = await type('vault', 'put-back', 'images', '--beside', 'restored/', '--json')
    expect(JSON.parse(beside.out)).toMatchObject({ put: 2, left: 0 })
    expect((await type('vault', 'put-back', 'papers')).code).toBe(1)
  })

  it('doctor, and vault verify, whole and by sample', async () => {
    const { out } = await type('doctor')
    expect(out).toMatch(/papers {2}folder {2}would lose/)
    expect(out).toContain('1 bucket under Object Lock and to the vault’s folder')
    expect(await type('vault', 'verify')).toMatchObject({ code: 0, out: expect.stringContaining('Whole: ') })
    expect(await type('vault', 'verify', '--sample', '0.5')).toMatchObject({ code: 0, out: expect.stringContaining('50 %') })
    expect((await type('vault', 'verify', '--sample', '7')).code).toBe(2)
  })
})

describe('typed when every disk of gate and vault is gone', { timeout: 120_000 }, () => {
  it('vault recover lists and restores from the bucket, and from a copy of the folder, by the identity alone', async () => {
    await up?.stop()
    up = null
    const kept = join(home, 'carried-away')
    // Somebody has the folder's copies on another disk: what is needed of it are chunks and manifests, no key.
    for (const part of ['chunks', 'manifests']) {
      mkdirSync(kept, { recursive: true })
      cpSync(join(home, '.sallyport', 'vault', part), join(kept, part), { recursive: true })
    }
    for (const gone of ['.sallyport', 'sallyport.yaml', 'papers']) rmSync(join(home, gone), { recursive: true, force: true })
    const from = [
      ['--bucket', copies, '--bucket-credential', server.credentialFile],
      ['--dir', kept],
    ]
    for (const [index, place] of from.entries()) {
      const listed = await type('vault', 'recover', '--identity', 'identity', ...place)
      expect(listed).toMatchObject({ code: 0, out: expect.stringContaining(papers.slice(0, 16)) })
      expect(listed.out).toContain('recovery sheet')
      const to = `out-${index}`
      const whole = await type('vault', 'recover', papers.slice(0, 12), '--identity', 'identity', '--to', to, ...place)
      expect(whole).toMatchObject({ code: 0, out: expect.stringContaining('All') })
      const data = join(home, to, 'parts', 'try-1', 'data', '0')
      expect(readFileSync(data).equals(content)).toBe(true)
      expect((await type('vault', 'recover', images, '--identity', 'identity', '--to', `${to}-images`, ...place)).code).toBe(0)
    }
    writeFileSync(
      join(home, 'stranger'),
      pairShape.parse(JSON.parse((await type('vault', 'recovery-pair', '--json')).out)).identity,
    )
    const stranger = await type('vault', 'recover', '--identity', 'stranger', '--dir', kept)
    expect(stranger).toMatchObject({ code: 1, said: expect.stringContaining('other recovery recipients') })
  })
})
