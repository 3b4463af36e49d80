import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Json } from '@sallyport/core'
import { z } from 'zod'
import { readWhole } from './disk.ts'
import { VaultFailure } from './failure.ts'
import type { VaultKey } from './key.ts'
import { hex64 } from './manifest.ts'
import { readSignedLine, writeSignedLine } from './signed-line.ts'

/** A copy can be asked to be kept for this long at most: what is locked can't be freed, so a slip must not fill the disk for good. */
export const retainMsMax = 100 * 366 * 86_400_000
const recordBytesMax = 4096

const recordSchema = z.strictObject({ v: z.literal(1), snapshot: hex64, retainUntilMs: z.int().min(0), atMs: z.int().min(0) })
export type RetentionRecord = z.infer<typeof recordSchema>

/** A signed promise to keep a snapshot for longer. It only ever adds: the latest of all records and the manifest counts. */
export function signRetention(key: VaultKey, record: RetentionRecord): { readonly name: string; readonly bytes: Buffer } {
  const content: Json = { ...record }
  return { name: nameOf(record), bytes: writeSignedLine(key, 'retention', content) }
}

/** @throws VaultFailure `damaged` */
function readRetention(publicKey: string, name: string, bytes: Uint8Array): RetentionRecord {
  const parsed = recordSchema.safeParse(readSignedLine(publicKey, 'retention', bytes))
  if (!parsed.success) throw new VaultFailure('damaged', 'A retention record has another form than this version knows.')
  if (nameOf(parsed.data) !== name) throw new VaultFailure('damaged', 'A retention record lies under the name of another.')
  return parsed.data
}

/** Every record in the folder; what cannot be read is handed to `report` and left alone. */
export async function* readRetentions(
  folder: string,
  publicKey: string,
  report: (file: string, error: unknown) => void,
): AsyncGenerator<RetentionRecord, void, undefined> {
  for (const name of (await readdir(join(folder, 'retention'))).sort()) {
    try {
      yield readRetention(publicKey, name, await readWhole(join(folder, 'retention', name), recordBytesMax))
    } catch (error) {
      report(join('retention', name), error)
    }
  }
}

function nameOf(record: RetentionRecord): string {
  return `${record.snapshot}-${String(record.retainUntilMs).padStart(16, '0')}`
}
