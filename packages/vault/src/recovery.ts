import { canonicalJson } from '@sallyport/core'
import { z } from 'zod'
import { deriveChunkKeys } from './chunk.ts'
import { VaultFailure } from './failure.ts'
import type { ReadKey, VaultKey } from './key.ts'
import { hex64 } from './manifest.ts'

/** What a recovery recipient finds in every manifest. */
const wrappedSchema = z.strictObject({ v: z.literal(1), vault: hex64, content: z.base64().length(44) })

/** A new pair: the recipient goes into the vault's configuration, the identity onto paper. */
export async function makeRecoveryPair(): Promise<{ readonly identity: string; readonly recipient: string }> {
  const age = await import('age-encryption')
  const identity = await age.generateX25519Identity()
  return { identity, recipient: await age.identityToRecipient(identity) }
}

/** The content key for the recipients, as base64 of an age file. It is the same in every manifest that one run of the vault signs. */
export async function wrapForRecovery(key: VaultKey, recipients: readonly string[]): Promise<string | null> {
  if (recipients.length === 0) return null
  const age = await import('age-encryption')
  const encrypter = new age.Encrypter()
  for (const recipient of recipients) {
    try {
      encrypter.addRecipient(recipient)
    } catch (error) {
      throw new VaultFailure('bad_request', 'A recovery recipient is not one of age (age1…). Nothing was started.', {
        cause: error,
      })
    }
  }
  const plain = canonicalJson({ v: 1, vault: key.publicKey, content: key.contentKey.toString('base64') })
  return Buffer.from(await encrypter.encrypt(plain)).toString('base64')
}

/** The key by which copies can be read, from a manifest and the offline identity. Null: it is for another recipient, or not whole. */
export async function unwrapByRecovery(identity: string, recovery: string, publicKey: string): Promise<ReadKey | null> {
  const age = await import('age-encryption')
  const decrypter = new age.Decrypter()
  try {
    decrypter.addIdentity(identity)
  } catch (error) {
    throw new VaultFailure('bad_request', 'The recovery identity is not one of age (AGE-SECRET-KEY-1…).', { cause: error })
  }
  try {
    const text = await decrypter.decrypt(Buffer.from(recovery, 'base64'), 'text')
    const wrapped = wrappedSchema.parse(JSON.parse(text))
    if (wrapped.vault !== publicKey) return null
    return { publicKey, chunkKeys: deriveChunkKeys(Buffer.from(wrapped.content, 'base64')) }
  } catch {
    return null
  }
}
