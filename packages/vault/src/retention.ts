import type { Json } from '@sallyport/core'
import { z } from 'zod'
import { listNames, readWholeVersion, type CopyStore } from './copy-store.ts'
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
  return { name: `retention/${nameOf(record)}`, bytes: writeSignedLine(key, 'retention', content) }
}

/** @throws VaultFailure `damaged` */
function readRetention(publicKey: string, name: string, bytes: Uint8Array): RetentionRecord {
  const parsed = recordSchema.safeParse(readSignedLine(publicKey, 'retention', bytes))
  if (!parsed.success) throw new VaultFailure('damaged', 'A retention record has another form than this version knows.')
  if (`retention/${nameOf(parsed.data)}` !== name)
    throw new VaultFailure('damaged', 'A retention record lies under the name of another.')
  return parsed.data
}

/** Every record in the stores; what cannot be read is handed to `report` and left alone. */
export async function* readRetentions(
  stores: readonly CopyStore[],
  publicKey: string,
  report: (file: string, error: unknown) => void,
): AsyncGenerator<RetentionRecord, void, undefined> {
  for (const name of await listNames(stores, 'retention/')) {
    let refusal: unknown = new VaultFailure('damaged', 'A retention record is not there.')
    let record: RetentionRecord | null = null
    const isWhole = (bytes: Buffer): boolean => {
      try {
        record = readRetention(publicKey, name, bytes)
      } catch (error) {
        refusal = error
      }
      return record !== null
    }
    await readWholeVersion(stores, name, recordBytesMax, isWhole).catch((error: unknown) => (refusal = error))
    if (record) yield record
    else report(name, refusal)
  }
}

/** Snapshot → until when all records together promise to keep it. */
export async function readRetained(
  stores: readonly CopyStore[],
  publicKey: string,
  report: (file: string, error: unknown) => void,
): Promise<ReadonlyMap<string, number>> {
  const retained = new Map<string, number>()
  for await (const record of readRetentions(stores, publicKey, report))
    retained.set(record.snapshot, Math.max(record.retainUntilMs, retained.get(record.snapshot) ?? 0))
  return retained
}

function nameOf(record: RetentionRecord): string {
  return `${record.snapshot}-${String(record.retainUntilMs).padStart(16, '0')}`
}
