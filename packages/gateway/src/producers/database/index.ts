import { SallyportError, type Producer, type Proof, type SnapshotReader } from '@sallyport/core'
import { copyFailed, dumpDatabase, putDump, type DumpSource } from './dump.ts'
import { databaseCopySchema, largeObjectsLabel, toManifest, type DatabaseCopy } from './manifest.ts'
import { askChecks, extractTable, withRestored } from './prove.ts'
import { makePrivateFolder } from './target.ts'

export type { DumpSource } from './dump.ts'

/** Whole databases of PostgreSQL, by its own pg_dump and pg_restore: for servers that give nobody replication access. */
export const database = { id: 'database', open }

function open(source: DumpSource): Producer {
  return {
    kind: 'database',
    identity: async () => {
      const own = await source.begin()
      await own.end()
      return own.identity
    },
    copy: async (seal, options) => {
      const own = makePrivateFolder()
      try {
        const dumped = await dumpDatabase(source, own.folder, options)
        const files = await putDump(seal, own.folder, options)
        const copy: DatabaseCopy = { ...dumped, files }
        own.remove()
        await withRestored(copy, seal, options, async () => undefined)
        return {
          kind: 'database',
          rows: countRows(copy),
          bytes: countBytes(copy),
          checksums: checksumsOf(copy),
          manifest: toManifest(copy),
        }
      } catch (error) {
        options.signal.throwIfAborted()
        if (error instanceof SallyportError) throw error
        throw copyFailed(
          'The database could not be copied',
          error instanceof Error ? error.message.slice(0, 500) : 'no reason was given',
          error,
        )
      } finally {
        own.remove()
      }
    },
    prove: async (reader, { checks, ...options }) => {
      const copy = readCopy(reader)
      const { answers, place } = await withRestored(copy, reader, options, async (restored) => ({
        answers: await askChecks(restored.ask, checks),
        place: restored.place,
      }))
      return { rows: countRows(copy), bytes: countBytes(copy), compared: copy.tables.length, answers, place } satisfies Proof
    },
    extract: async (reader, name, folder, signal) => {
      const copy = readCopy(reader)
      const options = { report: () => undefined, signal }
      return withRestored(copy, reader, options, (restored) => extractTable(copy, restored, name, folder, signal))
    },
  }
}

function readCopy({ manifest, checksums }: SnapshotReader): DatabaseCopy {
  const parsed = databaseCopySchema.safeParse(manifest)
  if (!parsed.success)
    throw copyFailed('The copy cannot be restored', 'it was not made by this producer, or by another version of it', parsed.error)
  for (const { label, sha256 } of parsed.data.tables)
    if (checksums[label] !== sha256)
      throw copyFailed('The copy cannot be restored', `its manifest says two things of table ${label}`)
  return parsed.data
}

function countRows({ tables }: DatabaseCopy): number {
  return tables.reduce((sum, { rows }) => sum + rows, 0)
}

function countBytes({ files }: DatabaseCopy): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0)
}

function checksumsOf({ tables, largeObjects }: DatabaseCopy): Record<string, string> {
  const sums = Object.fromEntries(tables.map(({ label, sha256 }) => [label, sha256]))
  return largeObjects.rows === 0 ? sums : { ...sums, [largeObjectsLabel]: largeObjects.sha256 }
}
