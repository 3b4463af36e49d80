import { type Checkpoint, isCosigned, isSignedByLog, openCheckpoint } from './checkpoint.ts'
import { explainDifference } from './difference.ts'
import type { Finding, Information } from './finding.ts'
import { encodeBase64, type Hash, leafHash, LogFormatError, sameBytes } from './hash.ts'
import { followRotations, isSignedByKey, type KeyRotation } from './key-rotation.ts'
import type { VerifierKey } from './note-key.ts'
import { readEntries, type EntriesRead } from './entries-read.ts'
import { firstHere, leafHashesBefore, type LogSource } from './log-source.ts'
import { decodeSegment } from './segment.ts'
import { decodeTile, tilePath } from './tile.ts'
import { treeRoot, tileWidth } from './tree.ts'

export interface VerifyOptions {
  /** Keys that the log's signature is checked with; the witness's and the caller's beat those that lie beside the log. */
  readonly logKeys: readonly VerifierKey[]
  /** What the log's keys were replaced by. Default: none was. */
  readonly rotations?: readonly KeyRotation[]
  /** Where `logKeys` come from. `log`: from beside the log itself, which is reported. */
  readonly logKeysFrom: 'caller' | 'witness' | 'log'
  /** The last checkpoint that the witness cosigned, and the keys that its cosignature is checked with. Null: there is none. */
  readonly witness: { readonly checkpoint: string; readonly keys: readonly VerifierKey[] } | null
  /**
   * True only for a log that was just seen to sign what it appended: then entries behind the checkpoint are news, not a finding.
   * Who verifies a log at rest leaves it out.
   */
  readonly isGrowing?: boolean
}

export interface LogReport {
  readonly origin: string | null
  readonly size: number
  /** Base64, as in a checkpoint. */
  readonly root: string
  readonly checkpointSize: number | null
  readonly witnessSize: number | null
  /** When the witness says it saw that checkpoint, seconds since 1970. */
  readonly witnessTimeS: number | null
  /** Empty: nothing was removed from, changed in or slipped into the log, as far as `information` says. */
  readonly findings: readonly Finding[]
  readonly information: readonly Information[]
}

/** Differences are looked for entry by entry up to this size; above it only the fact that there are some is reported. */
const explainedEntriesMax = 1_000_000

/**
 * Checks a log as it lies on disk against what its key signed and what the witness saw. Needs nothing but what it is given, trusts no file
 * of the log but by signature. A rewrite with the gateway's own key and a cut-off tail under an old checkpoint show only by the witness.
 */
export async function verifyLog(source: LogSource, options: VerifyOptions): Promise<LogReport> {
  const findings: Finding[] = []
  const information: Information[] = []
  const log = openLogCheckpoint(source.checkpoint, options, findings)
  const witness = options.witness ? openWitnessCheckpoint(options.witness, log, findings) : null
  const sizes = [log, witness?.checkpoint].flatMap((checkpoint) => (checkpoint ? [checkpoint.size] : []))
  const read = await readEntries(source, new Set(sizes))
  findings.push(...read.findings)
  information.push(...read.information)
  if (log) findings.push(...(await compareWithLog(source, log, read)))
  if (options.isGrowing === true) moveToNews(findings, information)
  if (witness) findings.push(...compareWithWitness(witness.checkpoint, log, read))
  if (options.witness === null) information.push({ kind: 'truncation_not_excluded' })
  if (witness && read.size > witness.checkpoint.size) {
    information.push({ kind: 'not_yet_witnessed', index: witness.checkpoint.size, count: read.size - witness.checkpoint.size })
  }
  if (log && options.logKeysFrom === 'log') information.push({ kind: 'key_from_the_log_itself' })
  return {
    origin: log?.origin ?? null,
    size: read.size,
    root: encodeBase64(read.root),
    checkpointSize: log?.size ?? null,
    witnessSize: witness?.checkpoint.size ?? null,
    witnessTimeS: witness?.timeS ?? null,
    findings,
    information,
  }
}

function moveToNews(findings: Finding[], information: Information[]): void {
  const place = findings.findIndex(({ kind }) => kind === 'unsigned_tail')
  const [tail] = place < 0 ? [] : findings.splice(place, 1)
  if (tail?.kind === 'unsigned_tail') information.push({ kind: 'not_yet_signed', index: tail.index, count: tail.count })
}

function openLogCheckpoint(text: string | null, options: VerifyOptions, findings: Finding[]): Checkpoint | null {
  if (text === null) {
    findings.push({ kind: 'checkpoint_missing' })
    return null
  }
  const refuse = (detail: string): null => {
    findings.push({ kind: 'checkpoint_invalid', detail })
    return null
  }
  try {
    const keys = followRotations(options.logKeys, options.rotations ?? [])
    const opened = openCheckpoint(
      text,
      keys.map(({ key }) => key),
    )
    const { checkpoint, verdict } = opened
    if (keys.length === 0) return refuse('no key is known to check its signature with')
    if (!isSignedByLog(verdict)) return refuse("it is not signed by the log's key")
    if (!verdict.verified.some(({ key }) => key.name === checkpoint.origin))
      return refuse(`it speaks of another log, ${checkpoint.origin}`)
    if (!isSignedByKey(opened, keys)) return refuse('it is signed by a key that was replaced before the log was this large')
    return checkpoint
  } catch (error) {
    if (error instanceof LogFormatError) return refuse(error.message)
    throw error
  }
}

interface Witnessed {
  readonly checkpoint: Checkpoint
  readonly timeS: number | null
}

function openWitnessCheckpoint(
  witness: { readonly checkpoint: string; readonly keys: readonly VerifierKey[] },
  log: Checkpoint | null,
  findings: Finding[],
): Witnessed | null {
  const refuse = (detail: string): null => {
    findings.push({ kind: 'witness_invalid', detail })
    return null
  }
  try {
    const { checkpoint, verdict } = openCheckpoint(witness.checkpoint, witness.keys)
    if (witness.keys.length === 0) return refuse('no key is known to check its cosignature with')
    if (!isCosigned(verdict)) return refuse("it is not cosigned by the witness's key")
    if (log && log.origin !== checkpoint.origin) return refuse(`it speaks of another log, ${checkpoint.origin}`)
    return { checkpoint, timeS: Math.max(...verdict.verified.map(({ timeS }) => timeS ?? 0)) }
  } catch (error) {
    if (error instanceof LogFormatError) return refuse(error.message)
    throw error
  }
}

async function compareWithLog(source: LogSource, log: Checkpoint, read: EntriesRead): Promise<readonly Finding[]> {
  const root = read.roots.get(log.size)
  if (root !== undefined && sameBytes(root, log.root)) {
    const count = read.size - log.size
    return count === 0 ? [] : [{ kind: 'unsigned_tail', index: log.size, count }]
  }
  const fact: Finding =
    root === undefined
      ? { kind: 'truncated', size: read.size, expected: log.size, by: 'log' }
      : { kind: 'root_mismatch', size: log.size, by: 'log' }
  const differences = await explainTampering(source, log, read.size)
  // What is missing at the end is what `truncated` says already.
  return [fact, ...differences.filter((finding) => !(finding.kind === 'entry_removed' && finding.index === read.size))]
}

function compareWithWitness(witness: Checkpoint, log: Checkpoint | null, read: EntriesRead): readonly Finding[] {
  const root = read.roots.get(witness.size)
  if (root === undefined) return [{ kind: 'truncated', size: read.size, expected: witness.size, by: 'witness' }]
  if (sameBytes(root, witness.root)) return []
  const logRoot = log ? read.roots.get(log.size) : undefined
  const signedAsRead = log !== null && logRoot !== undefined && sameBytes(logRoot, log.root)
  return [signedAsRead ? { kind: 'rewritten', size: witness.size } : { kind: 'root_mismatch', size: witness.size, by: 'witness' }]
}

/** Where the entries differ from what was signed: told by the stored tiles, which are believed only when they add up to the signed root. */
async function explainTampering(source: LogSource, log: Checkpoint, size: number): Promise<readonly Finding[]> {
  if (Math.max(log.size, size) > explainedEntriesMax) return []
  const signed: Hash[] = []
  for (let index = 0; index * tileWidth < log.size; index += 1) {
    const width = Math.min(tileWidth, log.size - index * tileWidth)
    const hashes = await readLeafTile(source, index, width)
    if (hashes === null) return []
    signed.push(...hashes)
  }
  if (!sameBytes(treeRoot(signed), log.root)) return []
  // What was archived and dropped is taken as signed: only what is here can differ.
  const found: Hash[] = []
  for await (const leaf of leafHashesBefore(source, await firstHere(source))) found.push(leaf)
  for await (const { bytes } of source.segments()) {
    try {
      for (const group of decodeSegment(bytes, true).groups) found.push(...group.entries.map(leafHash))
    } catch (error) {
      if (!(error instanceof LogFormatError)) throw error
    }
  }
  return explainDifference(signed, found, 0)
}

async function readLeafTile(source: LogSource, index: number, width: number): Promise<readonly Hash[] | null> {
  for (const stored of width === tileWidth ? [tileWidth] : [width, tileWidth]) {
    const bytes = await source.tile(tilePath({ level: 0, index, width: stored }))
    if (bytes === null) continue
    try {
      return decodeTile(bytes, stored).slice(0, width)
    } catch (error) {
      if (!(error instanceof LogFormatError)) throw error
    }
  }
  return null
}
