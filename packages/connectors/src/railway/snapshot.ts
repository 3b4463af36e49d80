import {
  SallyportError,
  type HttpAccess,
  type ResolvedOperation,
  type Seal,
  type SnapshotContent,
  type Upstream,
} from '@sallyport/core'
import { baseBackupManifest, nameSums, type VolumeCopy } from './base-backup-manifest.ts'
import { copyVolume } from './base-backup.ts'
import { volumeOf } from './resolve-volume.ts'

/** Copies what the request would lose. Throws `copy_failed` or `no_copy_possible`; then nothing may run. */
export async function snapshot(
  operations: readonly ResolvedOperation[],
  upstream: Upstream,
  seal: Seal,
): Promise<SnapshotContent> {
  const losing = operations.filter(({ copy }) => copy.kind !== 'none')
  const volumes = [...new Set(losing.map(volumeToCopy))]
  if (volumes.length === 0) throw impossible('nothing in the request is lost that a copy could be made of')
  const access = httpAccess(upstream)
  const copies: VolumeCopy[] = []
  for (const volume of volumes) {
    const tied = await access.tied('volume', volume)
    if (tied === null) throw impossible(`volume ${volume} is tied to no database`)
    copies.push(await copyVolume(volume, tied, seal))
  }
  return {
    kind: 'tables',
    rows: copies.reduce((sum, { tables }) => sum + tables.reduce((all, { rows }) => all + rows, 0), 0),
    bytes: copies.reduce((sum, { bytes }) => sum + bytes, 0),
    checksums: nameSums(copies),
    manifest: baseBackupManifest(copies),
  }
}

function volumeToCopy(operation: ResolvedOperation): string {
  const volume = volumeOf(operation)
  if (volume === null || operation.copy.kind !== 'tables') throw impossible(`${operation.action} loses what no copy covers`)
  return volume
}

function httpAccess({ access, name }: Upstream): HttpAccess {
  if (access.kind === 'http') return access
  throw impossible(`there is no way to ask ${name} what lies on its volumes`)
}

function impossible(why: string): SallyportError {
  return new SallyportError(
    'no_copy_possible',
    `No copy can be made: ${why}.`,
    'Nothing was copied or deleted.',
    'Tie each volume to the database that lies on it, in sallyport.yaml, and ask for one thing at a time.',
  )
}
