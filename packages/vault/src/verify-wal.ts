import { getUnlessDamaged, type CopyStore } from './copy-store.ts'
import { toFailure, VaultFailure } from './failure.ts'
import type { Progress } from './verify-report.ts'
import type { VaultFolder } from './vault-folder.ts'
import { describeWal, openWalPiece, parseWalName, readWalPiece, walFileBytesMax, walName, type WalPiece } from './wal-piece.ts'
import { checkFollows, listChains, readWalExpiries } from './wal-reader.ts'

/** Every piece of WAL in every store: signed, whole, readable, and each following the one before. */
export async function verifyWal(
  folder: VaultFolder,
  progress: Progress,
): Promise<{ readonly streams: number; readonly pieces: number }> {
  const report = (file: string, error: unknown): void =>
    void progress.damage.push({ kind: 'damaged_wal', file, what: toFailure(error).message })
  const expiries = await readWalExpiries(folder.stores, folder.identity.publicKey, report)
  const { chains } = await listChains(folder.stores, expiries)
  let pieces = 0
  for (const store of folder.stores) await findStrangers(store, report)
  for (const { stream, names, damage } of chains.values()) {
    if (damage !== null) report(`wal/${stream}`, new VaultFailure('damaged', damage))
    let before: WalPiece | null = null
    for (const name of names) {
      let whole: WalPiece | null = null
      for (const store of folder.stores) {
        try {
          whole = await verifyPiece(folder, store, walName(name), progress)
        } catch (error) {
          report(folder.stores.length === 1 ? walName(name) : `${store.place}: ${walName(name)}`, error)
        }
      }
      try {
        if (whole !== null && before !== null && before.name.sequence + 1 === whole.name.sequence) checkFollows(before, whole)
      } catch (error) {
        report(walName(name), error)
      }
      before = whole
      pieces += 1
    }
  }
  return { streams: chains.size, pieces }
}

async function findStrangers(store: CopyStore, report: (file: string, error: unknown) => void): Promise<void> {
  for await (const version of store.list('wal/')) {
    if (parseWalName(version.name) !== null) continue
    report(store.describe(version), new VaultFailure('damaged', 'This is not the name of a piece of WAL.'))
  }
}

async function verifyPiece(folder: VaultFolder, store: CopyStore, name: string, progress: Progress): Promise<WalPiece> {
  let refusal: unknown = new VaultFailure('damaged', 'This piece of WAL is missing.')
  for (const version of await store.versions(name)) {
    const held = await getUnlessDamaged(store, version, walFileBytesMax)
    progress.bytes += held?.bytes.length ?? 0
    if (!held) continue
    try {
      const piece = readWalPiece(folder.identity.publicKey, held.bytes, name)
      if (folder.key) await openWalPiece(folder.key, piece)
      if (store.locks && held.retainUntilMs < piece.head.retainUntilMs)
        throw new VaultFailure('damaged', `The store would let WAL ${describeWal(piece.name)}, go before its retention ends.`)
      return piece
    } catch (error) {
      refusal = error
    }
  }
  throw refusal
}
