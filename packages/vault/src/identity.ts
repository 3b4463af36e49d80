import { formatVerifierKey, noteSigner, signatureTypes, type Json, type NoteSigner } from '@sallyport/core'
import { z } from 'zod'
import { VaultFailure } from './failure.ts'
import type { VaultKey } from './key.ts'
import { hex64 } from './manifest.ts'
import { readSignedLine, writeSignedLine } from './signed-line.ts'

const identitySchema = z.strictObject({
  v: z.literal(1),
  publicKey: hex64,
  /** Hash by which a changed content key is told. */
  contentKeyId: z.string().regex(/^[0-9a-f]{32}$/),
  /** What this vault's cosignatures are checked with: a C2SP verifier key. */
  witnessKey: z.string().max(512),
})

/** What a vault says of itself, signed by itself: the file `identity`. It holds no secret. */
export type Identity = z.infer<typeof identitySchema>

/** The key that cosigns checkpoints. Its name holds the vault's, so that two vaults never cosign under one name. */
export function witnessSigner(key: VaultKey): NoteSigner {
  return noteSigner(`sallyport-vault/${key.publicKey.slice(0, 16)}`, key.witnessSeed, signatureTypes.cosignature)
}

export function signIdentity(key: VaultKey): Buffer {
  const content: Json = {
    v: 1,
    publicKey: key.publicKey,
    contentKeyId: key.contentKeyId,
    witnessKey: formatVerifierKey(witnessSigner(key).key),
  }
  return writeSignedLine(key, 'identity', content)
}

/** Checks that the identity was signed by the key it names. @throws VaultFailure `damaged` */
export function readIdentity(bytes: Uint8Array): Identity {
  const claimed = identitySchema.safeParse(readClaim(bytes))
  if (!claimed.success) throw new VaultFailure('damaged', "The vault's identity cannot be read.")
  const proven = identitySchema.safeParse(readSignedLine(claimed.data.publicKey, 'identity', bytes))
  if (!proven.success) throw new VaultFailure('damaged', "The vault's identity cannot be read.")
  return proven.data
}

function readClaim(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8').split('\n')[0] ?? '')
  } catch {
    return null
  }
}
