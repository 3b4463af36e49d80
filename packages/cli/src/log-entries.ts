import {
  decodeEntry,
  decodeEntryBundle,
  decodeSegment,
  encodeBase64,
  firstHere,
  LogFormatError,
  type LogSource,
  rangeOf,
  tilePath,
  tileWidth,
} from '@sallyport/core'
import { CommandFailure, exitCodes } from './failure.ts'

/** An entry as an object for JSON; one that is no event stands there as it is, in base64. */
export function readEntry(entry: Uint8Array): object {
  try {
    return decodeEntry(entry)
  } catch (error) {
    if (error instanceof LogFormatError) return { unreadable: error.message, base64: encodeBase64(entry) }
    throw error
  }
}

/** Where the entries begin that lie here: 0 unless a beginning was archived and dropped. */
export async function findFirstHere(source: LogSource): Promise<number> {
  return (source.archived ?? []).length === 0 ? 0 : await firstHere(source)
}

/**
 * Every entry in its order, without a look at whether it can be believed. What was archived and not recalled is passed over, and `missing` hears of it,
 * or it is said on standard error.
 */
export async function* entriesOf(
  source: LogSource,
  missing: (first: number, next: number) => void = tellMissing,
): AsyncGenerator<{ readonly index: number; readonly entry: Uint8Array }> {
  let index = await findFirstHere(source)
  if (index > 0) yield* archivedEntries(source, index, missing)
  for await (const { name, bytes } of source.segments()) {
    for (const group of decodeNamed(name, bytes)) {
      for (const entry of group.entries) {
        yield { index, entry }
        index += 1
      }
    }
  }
}

async function* archivedEntries(
  source: LogSource,
  end: number,
  missing: (first: number, next: number) => void,
): AsyncGenerator<{ readonly index: number; readonly entry: Uint8Array }> {
  let gap = 0
  for (let first = 0; first < end; first += tileWidth) {
    const bytes = await source.tile(tilePath({ level: 'entries', index: first / tileWidth, width: tileWidth }))
    if (bytes === null) continue
    if (gap < first) missing(gap, first)
    gap = Math.min(end, first + tileWidth)
    for (const [place, entry] of decodeEntryBundle(bytes, tileWidth)
      .slice(0, end - first)
      .entries()) {
      yield { index: first + place, entry }
    }
  }
  if (gap < end) missing(gap, end)
}

function tellMissing(first: number, next: number): void {
  process.stderr.write(
    `note: entries ${first} to ${next - 1} were archived and are not here, so they were not looked at: \`sallyport log recall\` reads them back.\n`,
  )
}

/** An entry that was asked for, and lies in the vault alone. */
export function notHere(source: LogSource, index: number): CommandFailure {
  const range = rangeOf(source.archived ?? [], index)
  const place = range === null ? '' : ` in snapshot ${range.snapshot} of the vault ${range.vault}`
  return new CommandFailure(
    exitCodes.failed,
    'archived',
    `Entry ${index} was archived and is not here: it lies${place}.`,
    'Nothing was shown or proven.',
    'Run `sallyport log recall`, and this again.',
  )
}

function decodeNamed(name: string, bytes: Uint8Array): ReturnType<typeof decodeSegment>['groups'] {
  try {
    return decodeSegment(bytes, true).groups
  } catch (error) {
    if (!(error instanceof LogFormatError)) throw error
    throw new CommandFailure(
      exitCodes.failed,
      'damaged',
      `Segment ${name} is damaged: ${error.message}.`,
      'What follows it was not read.',
      'Run `sallyport log verify`.',
      { cause: error },
    )
  }
}
