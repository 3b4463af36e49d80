import { open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { showLsn } from '@sallyport/core'
import type { FileOwner } from './base-backup-tar.ts'

export interface WalPlace {
  /** `pg_wal` of a data directory. */
  readonly folder: string
  readonly timeline: number
  readonly segmentBytes: number
  readonly owner: FileOwner | null
}

/** PostgreSQL's name of the file that holds a position: timeline, and the segment's number in two halves. */
function walFileName({ timeline, segmentBytes }: Pick<WalPlace, 'timeline' | 'segmentBytes'>, at: bigint): string {
  const segment = at / BigInt(segmentBytes)
  const perHalf = 0x1_0000_0000n / BigInt(segmentBytes)
  return [BigInt(timeline), segment / perHalf, segment % perHalf]
    .map((part) => part.toString(16).toUpperCase().padStart(8, '0'))
    .join('')
}

/** A file that is not whole has this at its end, so that a restore that was cut short begins it anew. */
const unfinished = '.part'

/**
 * Where a restore that was cut short goes on: at the last whole file, which is written anew, since it may have been the end of the stream then and
 * filled up with zeros.
 */
export async function findWalEnd(place: WalPlace, from: bigint): Promise<bigint> {
  const names = new Set(await readdir(place.folder).catch(() => []))
  const size = BigInt(place.segmentBytes)
  const first = from - (from % size)
  let at = first
  while (names.has(walFileName(place, at))) {
    const { size: bytes } = await stat(join(place.folder, walFileName(place, at)))
    if (BigInt(bytes) !== size) break
    at += size
  }
  return at === first ? first : at - size
}

/** Removes what a base copy or a try before left in `pg_wal` and that is not ours: only the stream's own bytes are replayed. */
export async function clearWal({ folder }: WalPlace): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true }))
    if (entry.isFile()) await rm(join(folder, entry.name), { force: true })
}

/**
 * Writes a stream of WAL as the files that a server reads, from the beginning of one on. The last one is filled up with zeros, which is where replay
 * ends. @returns where the stream ended
 */
export async function writeWal(
  place: WalPlace,
  from: bigint,
  chunks: AsyncIterable<Uint8Array>,
  written: (end: bigint) => void,
): Promise<bigint> {
  const size = BigInt(place.segmentBytes)
  if (from % size !== 0n) throw new Error(`WAL at ${showLsn(from)} is not the beginning of a file`)
  let at = from
  let file: Awaited<ReturnType<typeof open>> | null = null
  const pathOf = (position: bigint): string => join(place.folder, walFileName(place, position))
  const close = async (position: bigint): Promise<void> => {
    await file?.truncate(place.segmentBytes)
    await file?.sync()
    await file?.close()
    file = null
    await rename(`${pathOf(position)}${unfinished}`, pathOf(position))
  }
  try {
    for await (const chunk of chunks) {
      for (let offset = 0; offset < chunk.length;) {
        if (file === null) {
          file = await open(`${pathOf(at)}${unfinished}`, 'w', 0o600)
          if (place.owner !== null) await file.chown(place.owner.uid, place.owner.gid)
        }
        const room = Number(size - (at % size))
        const part = chunk.subarray(offset, offset + room)
        await file.writeFile(part)
        offset += part.length
        at += BigInt(part.length)
        if (at % size === 0n) await close(at - 1n)
      }
      written(at)
    }
    if (file !== null) await close(at)
  } finally {
    await file?.close()
  }
  return at
}
