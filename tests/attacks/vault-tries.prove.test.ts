import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import {
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { askRaw, beginSeal, listIds, sealParts } from '../conformance/vault-raw.ts'
import type { HttpPerson } from '../fakes/http-person.ts'
import { startGate, type TestGate } from '../servers/gate.ts'
import { startObjectStore, type ObjectStore } from '../servers/object-store.ts'

/**
 * Every way to lose a copy that there is a door for: with the gate's credential, the operator's token, a person's browser, and the credential of
 * the bucket's owner; and in the vault's own folder. Of each: the copy is still whole, and the try is on the gate's log. What needs no door is tried elsewhere: the memory of
 * the gate (vault-gate-memory), clocks and expiry (packages/vault/src/expiry.test.ts), replays and forgeries (vault-bucket).
 */
const Bucket = 'watched'
const rows = randomBytes(150_000).toString('hex')
let server: ObjectStore
let gate: TestGate
let ada: HttpPerson
let sealed = ''
let things: readonly { readonly Key: string; readonly VersionId: string }[] = []
const vault = {
  get socketPath(): string {
    return join(gate.directory, 'run', 'vault.sock')
  },
  token: (): string => readFileSync(join(gate.directory, 'vault.token'), 'utf8').trim(),
}

beforeAll(async () => {
  server = await startObjectStore()
  const place = await server.makeBucket(Bucket)
  const stores = [`--bucket=${place}`, `--bucket-credential=${server.credentialFile}`, '--folder-too']
  const limits = ['--watch-every-ms=300', '--seal-bytes-max=1000000']
  gate = await startGate({ postgres: null, agents: {}, vaultFlags: [...stores, ...limits] })
  ada = await gate.person('ada')
  sealed = await sealParts(vault, { rows })
  const { Versions = [] } = await server.client.send(new ListObjectVersionsCommand({ Bucket }))
  things = Versions.flatMap(({ Key, VersionId }) => (Key && VersionId ? [{ Key, VersionId }] : []))
}, 120_000)
afterAll(async () => {
  await gate.stop()
  await server.stop()
})

interface Try {
  readonly name: string
  /** Throws where the other side refuses at once. */
  act(): Promise<unknown>
  /** What the log says of it. */
  readonly told: Readonly<Record<string, unknown>>
}

const byGate = (method: string, path: () => string, body?: string): (() => Promise<unknown>) => {
  return async () => {
    const { status } = await askRaw(vault, method, path(), body === undefined ? {} : { body })
    expect(status).toBeGreaterThanOrEqual(400)
  }
}
const snapshotPath = (): string => `/v1/snapshots/${sealed}`
const first = (prefix: string): (typeof things)[number] => {
  const found = things.find(({ Key }) => Key.startsWith(prefix))
  if (found === undefined) throw new Error(`nothing lies under ${prefix}`)
  return found
}
const put = async (Key: string, bytes: Uint8Array): Promise<unknown> =>
  server.client.send(
    new PutObjectCommand({ Bucket, Key, Body: bytes, ContentMD5: createHash('md5').update(bytes).digest('base64') }),
  )
const operator = async (method: string, path: string): Promise<void> => {
  const authorization = `Bearer ${readFileSync(join(gate.directory, 'operator.token'), 'utf8')}`
  const { status } = await fetch(new URL(path, gate.controlUrl), { method, headers: { authorization } })
  expect([404, 405]).toContain(status)
}

const byPerson = async (path: string): Promise<void> => {
  const { status } = await ada.post(path, { all: true })
  expect([404, 405]).toContain(status)
}

const withTheGatesCredential: readonly Try[] = [
  ['delete a copy', 'DELETE', ''],
  ['overwrite a copy', 'PUT', '/part?name=rows'],
  ['purge the copies', 'PURGE', ''],
].map(([name = '', method = '', rest = '']) => ({
  name,
  act: byGate(method, () => `${snapshotPath()}${rest}`, 'other'),
  told: { try: 'refused', what: expect.stringContaining('no such verb') },
}))
const bySayingLess: readonly Try[] = [
  {
    name: 'shorten its retention',
    act: byGate('POST', () => `${snapshotPath()}/retention`, JSON.stringify({ retainUntilMs: Date.now() + 1_000 })),
    told: { try: 'refused', name: expect.stringMatching(/^POST .*\/retention$/) },
  },
  {
    name: 'end a legal hold',
    act: byGate('POST', () => `${snapshotPath()}/release`, '{}'),
    told: { try: 'refused', name: expect.stringMatching(/\/release$/) },
  },
  {
    name: 'put a part of a seal twice',
    act: async () => {
      const seal = await beginSeal(vault)
      const path = `/v1/seals/${seal}/part?name=a`
      await askRaw(vault, 'PUT', path, { body: 'one' })
      expect((await askRaw(vault, 'PUT', path, { body: 'two' })).status).toBe(409)
    },
    told: { try: 'refused', name: expect.stringMatching(/^PUT \/v1\/seals/) },
  },
  {
    name: 'fill it up',
    act: async () => {
      const seal = await beginSeal(vault)
      const { status } = await askRaw(vault, 'PUT', `/v1/seals/${seal}/part?name=a`, { body: randomBytes(1_100_000) })
      expect(status).toBe(413)
    },
    told: { try: 'refused', what: expect.stringMatching(/larger|bytes|too/) },
  },
]
const atTheConsole: readonly Try[] = [
  ['DELETE', '/api/v1/snapshots/1'],
  ['PUT', '/api/v1/keeping/orders-db'],
  ['POST', '/api/v1/vault/expire'],
  ['PATCH', '/api/v1/vault/retention'],
].map(([method = '', path = '']) => ({
  name: `${method} ${path} with the operator's token`,
  act: () => operator(method, path),
  told: { kind: 'control_refused', method, path, by: 'operator' },
}))
const inAPersonsBrowser: readonly Try[] = ['/copies/expire', '/console/vault/purge', '/console/copies/1/delete'].map((path) => ({
  name: `POST ${path} in the browser of a person who signed in`,
  act: () => byPerson(path),
  told: { kind: 'control_refused', method: 'POST', path, by: 'ada' },
}))
/** A file of a kind of thing in the vault's folder, which lies in the bucket too. */
const fileOf = (kind: string): string => {
  const names = readdirSync(join(gate.directory, 'vault', kind), { recursive: true, withFileTypes: true })
  const found = names.find((entry) => entry.isFile())
  if (found === undefined) throw new Error(`no file of ${kind}`)
  return join(found.parentPath, found.name)
}
/** By whoever is the vault's OS user, on a file system without the immutable attribute. */
const inTheFolder: readonly Try[] = [
  {
    name: 'remove the file of a chunk',
    act: async () => rmSync(fileOf('chunks')),
    told: { try: 'gone', place: expect.stringContaining('folder'), name: expect.stringMatching(/^chunks\//) },
  },
  {
    name: 'set back the time until which a manifest is kept',
    act: async () => utimesSync(fileOf('manifests'), 1_000_000_000, 1_000_000_000),
    told: { try: 'lock_shortened', place: expect.stringContaining('folder'), name: expect.stringMatching(/^manifests\//) },
  },
]
const atTheBucket: readonly Try[] = [
  {
    name: 'hide a chunk behind a delete marker',
    act: () => server.client.send(new DeleteObjectCommand({ Bucket, Key: first('chunks/').Key })),
    told: { try: 'hidden', place: `bucket ${Bucket}`, name: expect.stringMatching(/^chunks\//) },
  },
  {
    name: 'overwrite a manifest',
    act: () => put(first('manifests/').Key, Buffer.from('{}')),
    told: { try: 'foreign_version', name: expect.stringMatching(/^manifests\//) },
  },
  {
    name: 'play a manifest again under a later number',
    act: async () => {
      const { Body } = await server.client.send(new GetObjectCommand({ Bucket, ...first('manifests/') }))
      const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array()
      await put(first('manifests/').Key.replace('000000000001', '000000000009'), bytes)
    },
    told: { try: 'foreign_object', name: expect.stringMatching(/^manifests\/000000000009/) },
  },
  {
    name: 'lay something strange beside the copies',
    act: () => put('chunks/readme.txt', Buffer.from('send 1 BTC')),
    told: { try: 'foreign_object', name: 'chunks/readme.txt' },
  },
  {
    name: 'let a lifecycle rule remove them',
    act: () => {
      const rule = { ID: 'all', Status: 'Enabled', Filter: { Prefix: '' }, NoncurrentVersionExpiration: { NoncurrentDays: 1 } }
      const Rules = [{ ...rule, Status: 'Enabled' as const }]
      return server.client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules } }))
    },
    told: { try: 'setup_changed', name: 'lifecycle rules', what: expect.stringContaining('NoncurrentVersionExpiration') },
  },
  {
    name: 'weaken the default retention',
    act: () => {
      const Rule = { DefaultRetention: { Mode: 'GOVERNANCE', Days: 1 } } as const
      const weaker = { ObjectLockEnabled: 'Enabled', Rule } as const
      return server.client.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration: weaker }))
    },
    told: { try: 'setup_changed', name: 'object lock', what: expect.stringContaining('GOVERNANCE') },
  },
  {
    name: 'let others in by a bucket policy',
    act: () => {
      const all = { Effect: 'Allow', Principal: '*', Action: 's3:*', Resource: [`arn:aws:s3:::${Bucket}/*`] }
      const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [all] })
      return server.client.send(new PutBucketPolicyCommand({ Bucket, Policy }))
    },
    told: { try: 'setup_changed', name: 'bucket policy', what: expect.stringContaining('s3:*') },
  },
]

async function expectWhole(): Promise<void> {
  expect(await listIds(vault)).toContain(sealed)
  const part = await askRaw(vault, 'GET', `${snapshotPath()}/part?name=rows`)
  expect([part.status, part.text]).toEqual([200, rows])
  for (const thing of things) await server.client.send(new HeadObjectCommand({ Bucket, ...thing }))
}

const alarms = (): readonly unknown[] => gate.events().flatMap(({ type, data }) => (type === 'alarm' ? [data] : []))
const tries = [...withTheGatesCredential, ...bySayingLess, ...atTheConsole, ...inAPersonsBrowser, ...inTheFolder, ...atTheBucket]

it('loses nothing to any of them', { timeout: 120_000 }, async () => {
  for (const one of tries) {
    await one.act()
    await expectWhole()
  }
})

it.each(tries)('$name: it is on the log', { timeout: 60_000 }, async ({ told }) => {
  await expect.poll(alarms, { timeout: 50_000, interval: 250 }).toContainEqual(expect.objectContaining(told))
})

it('refuses to delete a version, to shorten a lock, to suspend versioning or to drop the bucket, to its owner', async () => {
  for (const thing of things) {
    const at = { Bucket, ...thing, BypassGovernanceRetention: true }
    const Retention = { Mode: 'COMPLIANCE', RetainUntilDate: new Date(Date.now() + 60_000) } as const
    await expect(server.client.send(new PutObjectRetentionCommand({ ...at, Retention }))).rejects.toMatchObject({
      name: 'AccessDenied',
    })
    await expect(server.client.send(new DeleteObjectCommand(at))).rejects.toMatchObject({ name: 'AccessDenied' })
  }
  const suspend = new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Suspended' } })
  await expect(server.client.send(suspend)).rejects.toMatchObject({ name: 'InvalidBucketState' })
  await expect(server.client.send(new DeleteBucketCommand({ Bucket }))).rejects.toMatchObject({ name: 'BucketNotEmpty' })
  await expectWhole()
})

it('tells of what whoever runs the storage takes away, though no lock allows it', { timeout: 60_000 }, async () => {
  const { Key, VersionId } = first('manifests/')
  await server.takeAway(Bucket, Key, VersionId)
  await expect(server.client.send(new HeadObjectCommand({ Bucket, Key, VersionId }))).rejects.toMatchObject({ name: 'NotFound' })
  const told = { try: 'gone', place: `bucket ${Bucket}`, name: Key }
  await expect.poll(alarms, { timeout: 50_000, interval: 250 }).toContainEqual(expect.objectContaining(told))
})
