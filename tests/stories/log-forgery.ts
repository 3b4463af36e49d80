import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  decodeSegment,
  encodeGroup,
  encodeSegmentHeader,
  leafHash,
  noteSigner,
  segmentName,
  signCheckpoint,
  TileTree,
} from '@sallyport/core'

type Entries = readonly Buffer[]
type Change = (entries: Entries) => Entries

/** One way to falsify a log, by someone who may write every file of the gate's and knows its formats. */
export interface Forgery {
  readonly what: string
  /** @param log the log's folder @param state the gate's, with its key */
  readonly make: (log: string, state: string) => void
}

function segments(log: string): readonly string[] {
  return readdirSync(join(log, 'entries')).toSorted()
}

function readEntries(log: string): Entries {
  return segments(log).flatMap((name) =>
    decodeSegment(readFileSync(join(log, 'entries', name))).groups.flatMap(({ entries }) =>
      entries.map((entry) => Buffer.from(entry)),
    ),
  )
}

function rewrite(log: string, change: Change): Entries {
  const entries = change(readEntries(log))
  for (const name of segments(log)) rmSync(join(log, 'entries', name))
  writeFileSync(join(log, 'entries', segmentName(0)), Buffer.concat([encodeSegmentHeader(0), encodeGroup(0, entries)]))
  return entries
}

/** As whoever broke into the gate could: everything derived is made anew, and signed with the gate's own key. */
function rewriteSigned(log: string, state: string, change: Change): void {
  const entries = rewrite(log, change)
  for (const name of ['tile', 'witnessed']) rmSync(join(log, name), { recursive: true, force: true })
  const tree = new TileTree()
  for (const entry of entries) tree.append(leafHash(entry))
  const signer = noteSigner(
    readFileSync(join(state, 'log.origin'), 'utf8'),
    Buffer.from(readFileSync(join(state, 'log.key'), 'utf8'), 'hex'),
  )
  writeFileSync(join(log, 'checkpoint'), signCheckpoint({ origin: signer.key.name, size: tree.size, root: tree.root() }, signer))
}

function indexOf(entries: Entries, text: string): number {
  const index = entries.findIndex((entry) => entry.includes(text))
  if (index < 0) throw new Error(`no entry holds ${text}`)
  return index
}

const replaceIn =
  (text: string, from: string, to: string): Change =>
  (entries) => {
    const at = indexOf(entries, text)
    return entries.map((entry, index) => (index === at ? Buffer.from(entry.toString('utf8').replace(from, to)) : entry))
  }

const withoutVerdict: Change = (entries) => entries.toSpliced(indexOf(entries, '"type":"verdict"'), 1)
const reordered: Change = (entries) => {
  const at = indexOf(entries, '"type":"snapshot.sealed"')
  return entries.toSpliced(at, 2, ...entries.slice(at, at + 2).toReversed())
}
const slippedIn: Change = (entries) =>
  entries.toSpliced(
    indexOf(entries, '"type":"intent"'),
    0,
    ...entries.slice(indexOf(entries, '"type":"verdict"'), indexOf(entries, '"type":"verdict"') + 1),
  )
const otherPerson = replaceIn('"type":"verdict"', '"person":"bob"', '"person":"ada"')
const otherText = replaceIn('"type":"intent"', 'DROP TABLE', 'SHOW TABLE')
const cut: Change = (entries) => entries.slice(0, -4)

export const forgeries: readonly Forgery[] = [
  {
    what: 'a flipped bit',
    make: (log) => {
      const path = join(log, 'entries', segments(log)[0] ?? '')
      const bytes = readFileSync(path)
      const at = Math.floor(bytes.length / 2)
      bytes[at] = (bytes[at] ?? 0) ^ 4
      writeFileSync(path, bytes)
    },
  },
  { what: 'another person in the verdict', make: (log) => void rewrite(log, otherPerson) },
  { what: 'another text in what ran', make: (log) => void rewrite(log, otherText) },
  { what: 'a verdict removed', make: (log) => void rewrite(log, withoutVerdict) },
  { what: 'two events reordered', make: (log) => void rewrite(log, reordered) },
  { what: 'a verdict slipped in', make: (log) => void rewrite(log, slippedIn) },
  { what: 'the tail cut off', make: (log) => void rewrite(log, cut) },
  { what: 'the tail cut off, signed with the gate’s own key', make: (log, state) => rewriteSigned(log, state, cut) },
  { what: 'another person, signed with the gate’s own key', make: (log, state) => rewriteSigned(log, state, otherPerson) },
  { what: 'a verdict slipped in, signed with the gate’s own key', make: (log, state) => rewriteSigned(log, state, slippedIn) },
]
