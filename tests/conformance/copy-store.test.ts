import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { readBucketPlace } from '../../packages/vault/src/bucket-place.ts'
import { BucketStore } from '../../packages/vault/src/bucket-store.ts'
import { FolderStore } from '../../packages/vault/src/folder-store.ts'
import { startObjectStore } from '../servers/object-store.ts'
import { describeCopyStore } from './copy-store.ts'

describeCopyStore('a local folder', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'spv-'))
  return {
    store: new FolderStore(folder),
    again: async () => new FolderStore(folder),
    scribble: async (name, bytes) => {
      rmSync(join(folder, name))
      writeFileSync(join(folder, name), bytes)
    },
    stop: async () => rmSync(folder, { recursive: true, force: true }),
  }
})

describeCopyStore('a bucket under Object Lock', async () => {
  const server = await startObjectStore()
  const place = await readBucketPlace(await server.makeBucket('copies'), server.credentialFile)
  const open = (): Promise<BucketStore> => BucketStore.open({ ...place, prefix: 'of/this/vault' }, Date.now)
  return {
    store: await open(),
    again: open,
    scribble: async (name, bytes) => {
      const ContentMD5 = createHash('md5').update(bytes).digest('base64')
      await server.client.send(new PutObjectCommand({ Bucket: 'copies', Key: `of/this/vault/${name}`, Body: bytes, ContentMD5 }))
    },
    stop: () => server.stop(),
  }
})
