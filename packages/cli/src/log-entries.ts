import { decodeEntry, decodeSegment, encodeBase64, LogFormatError, type LogSource } from '@sallyport/core'
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

/** Every entry in its order, without a look at whether it can be believed. */
export async function* entriesOf(source: LogSource): AsyncGenerator<{ readonly index: number; readonly entry: Uint8Array }> {
  let index = 0
  for await (const { name, bytes } of source.segments()) {
    for (const group of decodeNamed(name, bytes)) {
      for (const entry of group.entries) {
        yield { index, entry }
        index += 1
      }
    }
  }
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
