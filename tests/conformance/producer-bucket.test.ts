import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { bucket } from '../../packages/gateway/src/producers/bucket/index.ts'
import { MemorySeal } from '../fakes/memory-seal.ts'
import { startObjectStore, type ObjectStore } from '../servers/object-store.ts'
import { describeProducer } from './producer.ts'
import { casesOf, inDepth } from '../breadth.ts'

const root = mkdtempSync(join(tmpdir(), 'sallyport-kept-'))
const shelf = (): string => join(root, 'shelf')
let server: ObjectStore
beforeAll(async () => {
  server = await startObjectStore()
  vi.stubEnv('TMPDIR', root)
}, 120_000)
afterAll(async () => {
  vi.unstubAllEnvs()
  await server.stop()
  rmSync(root, { recursive: true, force: true })
})

let count = 0
const options = { report: () => undefined, signal: new AbortController().signal }

async function makeBucket(versioned: boolean): Promise<string> {
  const Bucket = `kept-${++count}`
  await server.client.send(new CreateBucketCommand({ Bucket }))
  const VersioningConfiguration = { Status: 'Enabled' } as const
  if (versioned) await server.client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }))
  return Bucket
}
async function put(Bucket: string, Key: string, Body: string | Buffer, more = {}): Promise<void> {
  await server.client.send(new PutObjectCommand({ Bucket, Key, Body, ...more }))
}
async function readText(Bucket: string, Key: string): Promise<string> {
  return (await (await server.client.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToString()) ?? ''
}
async function empty(Bucket: string): Promise<void> {
  const { Versions = [], DeleteMarkers = [] } = await server.client.send(new ListObjectVersionsCommand({ Bucket }))
  for (const { Key, VersionId } of [...Versions, ...DeleteMarkers])
    await server.client.send(new DeleteObjectCommand({ Bucket, Key, VersionId }))
}
const open = (Bucket: string, prefix = ''): ReturnType<typeof bucket.open> =>
  bucket.open({
    url: `s3://${Bucket}/${prefix}?endpoint=${encodeURIComponent(server.endpoint)}`,
    credentialFile: server.credentialFile,
  })

for (const versioned of casesOf([true, false], 0)) {
  describeProducer(
    versioned ? 'bucket with versions' : 'bucket without versions',
    async () => {
      const Bucket = await makeBucket(versioned)
      await put(Bucket, 'note', 'a note\n', { Metadata: { owner: 'ada' }, ContentType: 'text/plain' })
      await put(Bucket, 'inside/data', Buffer.alloc(100_000, 7))
      return {
        producer: open(Bucket),
        change: async () => put(Bucket, 'note', 'another\n'),
        destroy: async () => {
          await empty(Bucket)
          await server.client.send(new DeleteBucketCommand({ Bucket }))
        },
        thing: 'inside/data',
        questions: null,
      }
    },
    shelf,
  )
}

describe('a copy of a bucket', { timeout: 60_000 }, () => {
  const strange = ['a b', 'a+b', 'ü/ñ', 'tab\there', 'x&<y>"', '%41', '../up', ' ', 'deep/er/']

  it('holds every key, header, tag and byte, and puts back what is missing and nothing else', async () => {
    const Bucket = await makeBucket(true)
    for (const [index, key] of strange.entries()) await put(Bucket, key, `content ${index}`)
    await put(Bucket, 'empty', '')
    const headers = { ContentType: 'text/x', ContentEncoding: 'gzip', CacheControl: 'no-store', ContentLanguage: 'de' }
    await put(Bucket, 'rich', 'rich', { ...headers, Metadata: { a: 'b' }, Tagging: 'team=red%20one' })
    const producer = open(Bucket)
    const seal = new MemorySeal()
    const content = await producer.copy(seal, options)
    expect(content.rows).toBe(strange.length + 2)
    await server.client.send(new DeleteObjectCommand({ Bucket, Key: 'rich' }))
    await server.client.send(new DeleteObjectCommand({ Bucket, Key: 'a+b' }))
    await put(Bucket, 'a b', 'written since')
    const restored = await producer.restore?.(seal.reader(content), { ...options, beside: null })
    expect(restored).toMatchObject({ put: 2, same: strange.length - 1, left: 1, leftNames: ['a b'] })
    expect(await readText(Bucket, 'a b')).toBe('written since')
    expect(await readText(Bucket, 'a+b')).toBe('content 1')
    const rich = await server.client.send(new HeadObjectCommand({ Bucket, Key: 'rich' }))
    expect(rich).toMatchObject({ ...headers, Metadata: { a: 'b' } })
    const beside = await producer.restore?.(seal.reader(content), { ...options, beside: 'then/' })
    expect(beside).toMatchObject({ put: strange.length + 2, left: 0 })
    for (const [index, key] of strange.entries()) expect(await readText(Bucket, `then/${key}`)).toBe(`content ${index}`)
  })

  it('is of one moment in a versioned bucket, whatever is written and deleted meanwhile', async () => {
    const Bucket = await makeBucket(true)
    for (const key of ['a', 'b', 'c']) await put(Bucket, key, 'before')
    await server.client.send(new DeleteObjectCommand({ Bucket, Key: 'c' }))
    const producer = open(Bucket)
    const seal = new MemorySeal()
    const write = seal.put.bind(seal)
    let isFirst = true
    seal.put = async (part) => {
      // Between the listing and the reading.
      if (isFirst) {
        isFirst = false
        await put(Bucket, 'a', 'after')
        await put(Bucket, 'd', 'after')
        await server.client.send(new DeleteObjectCommand({ Bucket, Key: 'b' }))
      }
      return write(part)
    }
    const content = await producer.copy(seal, options)
    expect(content.rows).toBe(2)
    const taken = await producer.extract?.(seal.reader(content), 'a', shelf(), options.signal)
    expect(taken?.rows).toBe(1)
    const restored = await producer.restore?.(seal.reader(content), { ...options, beside: 'then/' })
    expect(restored?.put).toBe(2)
    expect([await readText(Bucket, 'then/a'), await readText(Bucket, 'then/b')]).toEqual(['before', 'before'])
  })

  it.each(inDepth('is of none in a bucket without versions that changes all the time, and says what would help'))(
    '%s',
    async () => {
      const Bucket = await makeBucket(false)
      await put(Bucket, 'a', 'before')
      const seal = new MemorySeal()
      const write = seal.put.bind(seal)
      let times = 0
      seal.put = async (part) => {
        times += 1
        await put(Bucket, 'a', `changed ${times}`)
        return write(part)
      }
      await expect(open(Bucket).copy(seal, options)).rejects.toThrow(/changed while it was read.*turn its versioning on/)
    },
  )

  it.each(inDepth('keeps to its prefix, and says which bucket cannot be reached without anything of the credential'))(
    '%s',
    async () => {
      const Bucket = await makeBucket(true)
      await put(Bucket, 'in/a', 'a')
      await put(Bucket, 'out/b', 'b')
      const content = await open(Bucket, 'in/').copy(new MemorySeal(), options)
      expect(content.rows).toBe(1)
      const nowhere = open('nowhere-at-all').identity()
      await expect(nowhere).rejects.toThrow(/nowhere-at-all.*cannot be used/)
      await expect(nowhere).rejects.not.toThrow(new RegExp(server.credential.accessKeyId))
    },
  )
})
