import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { readBucketPlace } from '../../packages/vault/src/bucket-place.ts'
import { BucketStore } from '../../packages/vault/src/bucket-store.ts'
import { restoreSnapshot } from '../../packages/vault/src/restore.ts'
import { openFolder, type VaultFolder } from '../../packages/vault/src/vault-folder.ts'
import type { Report } from '../../packages/vault/src/verify-report.ts'
import { verifyFolder } from '../../packages/vault/src/verify.ts'
import { runVault, startVault, startVaultIn, type VaultProcess } from '../conformance/vault-process.ts'
import { askRaw, listIds, sealParts } from '../conformance/vault-raw.ts'
import { startObjectStore, type ObjectStore } from '../servers/object-store.ts'

const Bucket = 'copies'
const dayMs = 86_400_000
const pairShape = z.object({ identity: z.string(), recipient: z.string() })
const restoreShape = z.object({ ok: z.boolean(), vault: z.string(), lost: z.array(z.object({ name: z.string() })) })

let server: ObjectStore
let flags: string[] = []
let vault: VaultProcess
let recovery: z.infer<typeof pairShape>
const rows = randomBytes(700_000)
const roots: string[] = []

beforeAll(async () => {
  server = await startObjectStore()
  recovery = pairShape.parse((await runVault(['recovery-pair'])).document)
  const place = await server.makeBucket(Bucket)
  flags = ['--bucket', place, '--bucket-credential', server.credentialFile]
  vault = await startVault([...flags, '--recovery-recipient', recovery.recipient])
})
afterAll(async () => {
  await vault.remove()
  for (const root of roots) rmSync(root, { recursive: true, force: true })
  await server.stop()
})

interface Thing {
  readonly Key: string
  readonly VersionId: string
}

async function listThings(): Promise<readonly Thing[]> {
  const { Versions = [] } = await server.client.send(new ListObjectVersionsCommand({ Bucket }))
  return Versions.flatMap(({ Key, VersionId }) => (Key && VersionId ? [{ Key, VersionId }] : []))
}

async function putRaw(Key: string, bytes: Uint8Array): Promise<void> {
  const ContentMD5 = createHash('md5').update(bytes).digest('base64')
  await server.client.send(new PutObjectCommand({ Bucket, Key, Body: bytes, ContentMD5 }))
}

async function readRaw(thing: Thing): Promise<Buffer> {
  const { Body } = await server.client.send(new GetObjectCommand({ Bucket, ...thing }))
  return Buffer.from((await Body?.transformToByteArray()) ?? [])
}

async function restartVault(): Promise<void> {
  await vault.end()
  vault = await vault.again()
}

/** In this process: another one would spend most of its time on loading the S3 client. */
async function openVaultFolder(): Promise<VaultFolder> {
  const bucket = flags[1] ?? ''
  return await openFolder(vault.folder, vault.publicKey, [
    await BucketStore.open(await readBucketPlace(bucket, server.credentialFile), Date.now),
  ])
}

async function verify(): Promise<Report> {
  return await verifyFolder(await openVaultFolder())
}

async function expectWhole(id: string): Promise<void> {
  const read = await askRaw(vault, 'GET', `/v1/snapshots/${id}/part?name=rows`)
  expect(read.status).toBe(200)
  const root = mkdtempSync(join(tmpdir(), 'spv-'))
  roots.push(root)
  const report = await restoreSnapshot(await openVaultFolder(), id, join(root, 'out'))
  expect(report).toMatchObject({ ok: true, lost: [] })
  expect(readFileSync(join(root, 'out', 'parts', 'rows')).equals(rows)).toBe(true)
}

describe('a vault on a bucket', { timeout: 180_000 }, () => {
  let sealed = ''
  let things: readonly Thing[] = []

  it('does not start on a bucket without Object Lock, and says what to do', async () => {
    const place = await server.makeBucket('unlocked', false)
    const root = mkdtempSync(join(tmpdir(), 'spv-'))
    roots.push(root)
    const start = startVaultIn(root, ['--bucket', place, '--bucket-credential', server.credentialFile])
    await expect(start).rejects.toThrow(/no Object Lock.*Nothing was started.*new bucket with Object Lock/)
    const gone = startVaultIn(root, [
      '--bucket',
      place.replace('unlocked', 'nowhere'),
      '--bucket-credential',
      server.credentialFile,
    ])
    await expect(gone).rejects.toThrow(/NoSuchBucket/)
  })

  it('keeps everything of a snapshot locked until its retention ends', async () => {
    sealed = await sealParts(vault, { rows })
    things = await listThings()
    expect(things.length).toBeGreaterThan(3)
    for (const thing of things) {
      const { ObjectLockMode, ObjectLockRetainUntilDate } = await server.client.send(new HeadObjectCommand({ Bucket, ...thing }))
      expect(ObjectLockMode, thing.Key).toBe('COMPLIANCE')
      expect(ObjectLockRetainUntilDate?.getTime(), thing.Key).toBeGreaterThan(Date.now() + 0.99 * dayMs)
      const bytes = await readRaw(thing)
      expect(bytes.includes(rows.subarray(0, 16)), thing.Key).toBe(false)
    }
  })

  it('loses nothing to the raw S3 API with the credential of the bucket’s owner', async () => {
    const soon = new Date(Date.now() + 120_000)
    for (const thing of things) {
      const at = { Bucket, ...thing }
      for (const Mode of ['COMPLIANCE', 'GOVERNANCE'] as const) {
        const Retention = { Mode, RetainUntilDate: soon }
        const shorter = new PutObjectRetentionCommand({ ...at, Retention, BypassGovernanceRetention: true })
        await expect(server.client.send(shorter), thing.Key).rejects.toMatchObject({ name: 'AccessDenied' })
      }
      const removal = new DeleteObjectCommand({ ...at, BypassGovernanceRetention: true })
      await expect(server.client.send(removal), thing.Key).rejects.toMatchObject({ name: 'AccessDenied' })
    }
    const all = new DeleteObjectsCommand({ Bucket, Delete: { Objects: [...things] }, BypassGovernanceRetention: true })
    expect((await server.client.send(all)).Errors?.length).toBe(things.length)
    const suspend = new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Suspended' } })
    await expect(server.client.send(suspend)).rejects.toMatchObject({ name: 'InvalidBucketState' })
    await expect(server.client.send(new DeleteBucketCommand({ Bucket }))).rejects.toMatchObject({ name: 'BucketNotEmpty' })
    const Rule = { DefaultRetention: { Mode: 'GOVERNANCE', Days: 1 } } as const
    const weaker = { ObjectLockEnabled: 'Enabled', Rule } as const
    await server.client.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration: weaker }))
    const Rules = [
      { ID: 'all', Status: 'Enabled', Filter: { Prefix: '' }, NoncurrentVersionExpiration: { NoncurrentDays: 1 } },
    ] as const
    const expire = { Rules: Rules.map((rule) => ({ ...rule })) }
    await server.client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: expire }))
    await expectWhole(sealed)
  })

  it('reads what was sealed behind overwrites and delete markers, now and after a new start, and tells of them', async () => {
    for (const { Key } of things) {
      await putRaw(Key, Buffer.from('not what was sealed'))
      await server.client.send(new DeleteObjectCommand({ Bucket, Key }))
    }
    await expectWhole(sealed)
    await restartVault()
    await expectWhole(sealed)
    const report = await verify()
    expect(report).toMatchObject({ ok: true, damage: [], lost: [] })
    const told = report.traces.map(({ what }) => what)
    expect(told.filter((what) => what.includes('delete'))).toHaveLength(things.length)
    expect(told.filter((what) => what.includes('other bytes'))).toHaveLength(things.length)
  })

  it('is not led astray by swapped chunks, replayed or forged manifests, and goes on with its numbers', async () => {
    const [one, other] = things.filter(({ Key }) => Key.startsWith('chunks/'))
    const manifest = things.find(({ Key }) => Key.startsWith('manifests/'))
    if (!one || !other || !manifest) throw new Error('fewer things than expected')
    await putRaw(one.Key, await readRaw(other))
    const bytes = await readRaw(manifest)
    await putRaw(manifest.Key.replace('000000000001', '000000000002'), bytes)
    const forged = Buffer.from('{"v":2,"vault":"00"}\nAAAA\n')
    await putRaw(`manifests/999999999999-${createHash('sha256').update(forged).digest('hex')}`, forged)
    await restartVault()
    expect(await listIds(vault)).toEqual([sealed])
    const next = await sealParts(vault, { rows })
    await restartVault()
    expect((await listIds(vault)).toSorted()).toEqual([sealed, next].toSorted())
    await expectWhole(next)
    const { damage } = await verify()
    expect(damage.map(({ kind }) => kind).toSorted()).toEqual(['damaged_manifest', 'forged_manifest'])
  })

  it('makes the locks of shared chunks longer before a longer snapshot counts', async () => {
    const long = 30 * dayMs
    const about = JSON.stringify({ upstream: 'orders-db', upstreamIdentity: '1', digest: 'd', retainMs: long })
    const begun = await askRaw(vault, 'POST', '/v1/seals', { body: about })
    const seal = /[0-9a-f]{32}/.exec(begun.text)?.[0] ?? ''
    await askRaw(vault, 'PUT', `/v1/seals/${seal}/part?name=rows`, { body: rows })
    const content = JSON.stringify({ kind: 'rows', rows: 1, bytes: 1, checksums: { orders: 'c' }, manifest: {} })
    expect((await askRaw(vault, 'POST', `/v1/seals/${seal}/finish`, { body: content })).status).toBe(201)
    for (const thing of things.filter(({ Key }) => Key.startsWith('chunks/'))) {
      const { ObjectLockRetainUntilDate } = await server.client.send(new HeadObjectCommand({ Bucket, ...thing }))
      expect(ObjectLockRetainUntilDate?.getTime(), thing.Key).toBeGreaterThan(Date.now() + 0.99 * long)
    }
    // And so does an extension, of everything that the snapshot needs.
    const retainUntilMs = Date.now() + 60 * dayMs
    const extended = await askRaw(vault, 'POST', `/v1/snapshots/${sealed}/retention`, { body: JSON.stringify({ retainUntilMs }) })
    expect(extended.status).toBe(200)
    for (const thing of things) {
      const { ObjectLockRetainUntilDate } = await server.client.send(new HeadObjectCommand({ Bucket, ...thing }))
      expect(ObjectLockRetainUntilDate?.getTime(), thing.Key).toBeGreaterThanOrEqual(retainUntilMs)
    }
  })

  it('seals nothing on a store that does not say it keeps it', async () => {
    const relay = await startForgetfulRelay(server.endpoint)
    const root = mkdtempSync(join(tmpdir(), 'spv-'))
    roots.push(root)
    const place = `s3://${Bucket}/forgetful?endpoint=${encodeURIComponent(relay.endpoint)}`
    const careless = await startVaultIn(root, ['--bucket', place, '--bucket-credential', server.credentialFile])
    await expect(sealParts(careless, { rows: 'one' })).rejects.toThrow(/read_back_failed/)
    expect(await listIds(careless)).toEqual([])
    await careless.end()
    relay.server.close()
    relay.server.closeAllConnections()
  })

  it('gives everything back to the recovery identity alone, when every disk of gate and vault is gone', async () => {
    await vault.kill()
    const publicKey = vault.publicKey
    rmSync(vault.root, { recursive: true, force: true })
    const place = mkdtempSync(join(tmpdir(), 'spv-'))
    roots.push(place)
    const identity = join(place, 'identity')
    writeFileSync(identity, `# kept in a safe\n${recovery.identity}\n`, { mode: 0o600 })
    const known = ['--recovery-identity', identity, ...flags]
    const { document: list } = await runVault(['recover', 'list', ...known])
    expect(list).toMatchObject({ vault: publicKey })
    const { document, said } = await runVault([
      'recover',
      sealed,
      '--to',
      join(place, 'out'),
      '--public-key',
      publicKey,
      ...known,
    ])
    // Nothing but how far it is.
    for (const line of said.split('\n').filter((one) => one !== ''))
      expect(JSON.parse(line)).toEqual({ progress: { part: 'rows', done: expect.any(Number), total: rows.length } })
    expect(restoreShape.parse(document)).toEqual({ ok: true, vault: publicKey, lost: [] })
    expect(readFileSync(join(place, 'out', 'parts', 'rows')).equals(rows)).toBe(true)
    const stranger = pairShape.parse((await runVault(['recovery-pair'])).document)
    writeFileSync(identity, stranger.identity)
    const refused = await runVault(['recover', 'list', ...known])
    expect(refused.code).toBe(1)
    expect(refused.said).toContain('other recovery recipients')
  })
})

/** Passes everything on, and takes the lock out of every answer: what a store that ignores locks would say. */
async function startForgetfulRelay(endpoint: string): Promise<{ readonly endpoint: string; readonly server: Server }> {
  const { hostname, port } = new URL(endpoint)
  const relay = createServer((incoming, outgoing) => {
    const { method, url, headers } = incoming
    const passed = request({ hostname, port, method, path: url, headers }, (answer) => {
      const kept = Object.entries(answer.headers).filter(([name]) => !name.startsWith('x-amz-object-lock'))
      outgoing.writeHead(answer.statusCode ?? 502, Object.fromEntries(kept))
      answer.pipe(outgoing)
    })
    passed.on('error', () => outgoing.destroy())
    incoming.pipe(passed)
  })
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
  const address = relay.address()
  if (address === null || typeof address === 'string') throw new Error('no address')
  return { endpoint: `http://127.0.0.1:${address.port}`, server: relay }
}
