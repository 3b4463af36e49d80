import { join } from 'node:path'
import type { CopyStore } from './copy-store.ts'
import { readIfThere } from './disk.ts'
import { toFailure, VaultFailure } from './failure.ts'
import { FolderStore } from './folder-store.ts'
import { readIdentity, signIdentity, type Identity } from './identity.ts'
import { readKeyFile, type ReadKey } from './key.ts'

const stateBytesMax = 4096

/** Copies as a reader finds them, with no vault running. */
export interface ReadableVault {
  readonly path: string
  /** Where its copies lie. */
  readonly stores: readonly CopyStore[]
  /** Null: the key is not there, so signatures and hashes can be checked but nothing can be read. */
  readonly key: ReadKey | null
  /** Why there is no key, when its file is there and wrong. */
  readonly keyDamage: string | null
}

/** A vault's folder as a reader finds it. */
export interface VaultFolder extends ReadableVault {
  readonly identity: Identity
}

/** @throws VaultFailure when this is no vault's folder, or not the one that `publicKey` names */
export async function openFolder(
  path: string,
  publicKey: string | null,
  stores: readonly CopyStore[] = [new FolderStore(path)],
): Promise<VaultFolder> {
  const bytes = await readIfThere(join(path, 'identity'), stateBytesMax)
  if (!bytes) throw new VaultFailure('not_found', 'There is no vault in this folder: it has no file `identity`.')
  const identity = readIdentity(bytes)
  if (publicKey !== null && identity.publicKey !== publicKey) {
    throw new VaultFailure(
      'damaged',
      'This is the folder of another vault than the public key names. Nothing in it proves anything.',
    )
  }
  const { key, keyDamage } = await openKeyFile(path, bytes)
  return { path, stores, identity, key, keyDamage }
}

async function openKeyFile(path: string, identity: Buffer): Promise<Pick<VaultFolder, 'key' | 'keyDamage'>> {
  const there = await readIfThere(join(path, 'key'), stateBytesMax)
  if (!there) return { key: null, keyDamage: null }
  try {
    const key = readKeyFile(there.toString('utf8'))
    if (signIdentity(key).equals(identity)) return { key, keyDamage: null }
    return { key: null, keyDamage: 'The key file does not fit the identity of the vault.' }
  } catch (error) {
    return { key: null, keyDamage: toFailure(error).message }
  }
}
