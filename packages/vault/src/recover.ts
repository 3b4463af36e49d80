import { addressOf } from './chunk.ts'
import type { CopyStore } from './copy-store.ts'
import { VaultFailure } from './failure.ts'
import { claimedVault, manifestBytesMax, readOutside } from './manifest.ts'
import { unwrapByRecovery } from './recovery.ts'
import { manifestName, listManifests, type ManifestName } from './thing-name.ts'
import type { ReadableVault } from './vault-folder.ts'

/**
 * A vault as somebody finds it who has the offline recovery identity and a store, and nothing else: no disk of the gate's or the vault's.
 * @throws VaultFailure `not_found` when no manifest is for this identity, `bad_request` when manifests of several vaults are
 */
export async function openByRecovery(
  stores: readonly CopyStore[],
  identity: string,
  publicKey: string | null,
): Promise<ReadableVault & { readonly publicKey: string }> {
  const tried = new Map<string, ReadableVault | null>()
  for (const name of (await listManifests(stores)).toReversed()) {
    const found = await readRecovery(stores, name, publicKey)
    // The newest manifest of a vault that has a recovery part: all of them wrap one content key.
    if (!found || tried.get(found.vault)) continue
    const key = await unwrapByRecovery(identity, found.recovery, found.vault)
    tried.set(found.vault, key ? { path: '', stores, key, keyDamage: null } : null)
  }
  const [first, ...more] = [...tried].flatMap(([vault, opened]) => (opened ? [{ publicKey: vault, ...opened }] : []))
  if (more.length > 0) {
    throw new VaultFailure(
      'bad_request',
      'Manifests of more than one vault are for this identity; anyone who knows the recipient can write such. Name yours by --public-key: it stands on the recovery sheet.',
    )
  }
  if (!first) {
    throw new VaultFailure(
      'not_found',
      tried.size === 0
        ? 'No manifest in these stores has a part for a recovery recipient. Nothing can be read by this identity.'
        : 'The manifests in these stores are for other recovery recipients than this identity.',
    )
  }
  return first
}

/** Whose manifest it is and its recovery part, once its signature holds. Null for anything else that lies under the name. */
async function readRecovery(
  stores: readonly CopyStore[],
  name: ManifestName,
  publicKey: string | null,
): Promise<{ readonly vault: string; readonly recovery: string } | null> {
  for (const store of stores) {
    for (const version of await store.versions(manifestName(name))) {
      const held = await store.get(version, manifestBytesMax).catch(() => null)
      if (!held || addressOf(held.bytes) !== name.id) continue
      try {
        const vault = publicKey ?? claimedVault(held.bytes)
        const outside = readOutside(vault, held.bytes)
        return outside.v === 2 && outside.recovery !== null ? { vault, recovery: outside.recovery } : null
      } catch {
        return null
      }
    }
  }
  return null
}
