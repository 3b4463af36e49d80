import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { SallyportError } from '@sallyport/core'
import { recordLineShape, type KillOrder, type RecordLine } from './order.ts'

/** Nobody pulls a switch so often; a longer file is not ours. */
const recordBytesMax = 64 * 1024 * 1024

/**
 * Kills that the last life of this gate wrote down and did not put into the store. Anything that cannot be read may have been a kill, so it is one,
 * of everything.
 */
export function readRecord(path: string, nowMs: number): readonly KillOrder[] {
  const text = readText(path)
  const open = new Map<number, KillOrder>()
  const unreadable: KillOrder[] = []
  for (const line of text.split('\n')) {
    if (line === '') continue
    const read = parseLine(line)
    if (read === null) {
      const reason = 'the record of the kill switch has a line that cannot be read; it may have been a kill'
      unreadable.push({ kind: 'all', name: '', reason, by: 'the gate', drain: false, atMs: nowMs, mark: '' })
    } else if ('settled' in read) open.delete(read.settled)
    else open.set(read.number, read.order)
  }
  return [...open.values(), ...unreadable.slice(0, 1)]
}

function readText(path: string): string {
  let file: number
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw unreadableRecord(path, error)
  }
  try {
    if (fstatSync(file).size > recordBytesMax) throw unreadableRecord(path, null)
    return readFileSync(file, 'utf8')
  } finally {
    closeSync(file)
  }
}

function unreadableRecord(path: string, cause: unknown): SallyportError {
  return new SallyportError(
    'store_unavailable',
    `${path} cannot be read, so it is not known what the kill switch stopped last.`,
    'The gate did not start.',
    'See who changed the file; if it is lost, remove it and kill again what is to stay stopped.',
    { cause },
  )
}

function parseLine(line: string): RecordLine | null {
  try {
    return recordLineShape.parse(JSON.parse(line))
  } catch {
    return null
  }
}
