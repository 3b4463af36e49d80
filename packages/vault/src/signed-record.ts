import type { Json } from '@sallyport/core'
import type { z } from 'zod'
import { listNames, readWholeVersion, type CopyStore } from './copy-store.ts'
import { VaultFailure } from './failure.ts'
import type { SignedDomain, VaultKey } from './key.ts'
import { readSignedLine, writeSignedLine } from './signed-line.ts'

const recordBytesMax = 4096

/** A kind of small signed document that lies beside the copies and is never changed: what was promised, held or let go. */
export interface RecordKind<Content extends Readonly<Record<string, Json>>> {
  readonly domain: SignedDomain
  /** With its slash: where such records lie. */
  readonly prefix: string
  readonly schema: z.ZodType<Content>
  /** A record lies under the name that its content gives, so that none can be played again as another. */
  readonly nameOf: (content: Content) => string
}

/** What is told of a file that is not what it should be. */
export type ReportDamage = (file: string, error: unknown) => void

export function signRecord<Content extends Readonly<Record<string, Json>>>(
  key: VaultKey,
  kind: RecordKind<Content>,
  content: NoInfer<Content>,
): { readonly name: string; readonly bytes: Buffer } {
  return { name: `${kind.prefix}${kind.nameOf(content)}`, bytes: writeSignedLine(key, kind.domain, content) }
}

/** Every record of a kind in the stores; what cannot be read is handed to `report` and left alone. */
export async function* readRecords<Content extends Readonly<Record<string, Json>>>(
  stores: readonly CopyStore[],
  publicKey: string,
  kind: RecordKind<Content>,
  report: ReportDamage,
): AsyncGenerator<Content, void, undefined> {
  for (const name of await listNames(stores, kind.prefix)) {
    const found: Content[] = []
    let refusal: unknown = new VaultFailure('damaged', 'A record is not there.')
    const isWhole = (bytes: Buffer): boolean => {
      try {
        found.push(parseRecord(publicKey, kind, name, bytes))
      } catch (error) {
        refusal = error
      }
      return found.length > 0
    }
    await readWholeVersion(stores, name, recordBytesMax, isWhole).catch((error: unknown) => (refusal = error))
    const [content] = found
    if (content) yield content
    else report(name, refusal)
  }
}

/** @throws VaultFailure `damaged` */
function parseRecord<Content extends Readonly<Record<string, Json>>>(
  publicKey: string,
  kind: RecordKind<Content>,
  name: string,
  bytes: Uint8Array,
): Content {
  const parsed = kind.schema.safeParse(readSignedLine(publicKey, kind.domain, bytes))
  if (!parsed.success) throw new VaultFailure('damaged', 'A signed record has another form than this version knows.')
  if (`${kind.prefix}${kind.nameOf(parsed.data)}` !== name)
    throw new VaultFailure('damaged', 'A signed record lies under the name of another.')
  return parsed.data
}
