import { SallyportError, sha256Hex } from '@sallyport/core'
import { z } from 'zod'
import { parseConfig, type Config } from './config.ts'
import { findPlaceWidenings } from './vault-place.ts'
import {
  acceptedOf,
  admitConfiguration,
  digestAccepted,
  findWidenings,
  readAccepted,
  widenedLinesMax,
  type Accepted,
} from './widening.ts'

/** A configuration that gives more than the one in force, and waits for people. */
const proposalShape = z.strictObject({
  v: z.literal(1),
  /** Of everything in it that gives power. */
  digest: z.string(),
  /** The same of the configuration that it was compared with: more would be given than was shown if that one changed meanwhile. */
  before: z.string(),
  textSha256: z.string(),
  /** The file as it was when it was proposed; what is shown. */
  text: z.string(),
  widenings: z.array(z.string()),
  proposedAtMs: z.number(),
  /** Who typed it; null: it is what the file says. */
  by: z.string().nullable().default(null),
  acceptances: z.array(z.strictObject({ person: z.string(), credentialId: z.string(), atMs: z.number() })),
  /** From when on a start takes it over. Null: not enough people accepted it yet. */
  notBeforeMs: z.number().nullable(),
})
export type Proposal = z.infer<typeof proposalShape>

/** What the store has of configurations. */
export interface StoredConfiguration {
  /** What was accepted last, as JSON; null at the first start. */
  readonly accepted: string | null
  /** The file that it came from; null: kept by a version that did not keep it. */
  readonly text: string | null
  readonly proposal: string | null
}

export interface Start {
  /** Whoever starts the gate said so. Counts only while nobody is enrolled. */
  readonly isAccepted: boolean
  /** The file was written by whoever starts the gate, just now: a playground's, a drill's. */
  readonly isOwn: boolean
  readonly enrolled: number
  readonly nowMs: number
}

export interface Settled {
  /** What holds. */
  readonly config: Config
  /** What it gives beyond the one that ran before. */
  readonly widened: readonly string[]
  /** What the file gives beyond what holds. */
  readonly proposal: Proposal | null
}

/**
 * Which configuration holds (DESIGN §6: the file on disk only proposes; until people accepted what it gives, what they accepted last is in force).
 * @throws SallyportError `refused_by_guard` when the file gives more, and there is nobody to ask or nothing to fall back on
 */
export function settleConfiguration(file: Config, stored: StoredConfiguration, start: Start): Settled {
  const after = acceptedOf(file)
  if (stored.accepted === null || start.isOwn || start.enrolled === 0)
    return { config: file, widened: admitConfiguration(stored.accepted, after, start.isAccepted || start.isOwn), proposal: null }
  const before = readAccepted(stored.accepted)
  const widened = before === null ? [] : findWidenings(before, after)
  if (before !== null && widened.length === 0) return { config: file, widened, proposal: null }
  const known = readProposal(stored.proposal)
  if (before !== null && known !== null && isTakenOver(known, before, after, start.nowMs))
    return { config: file, widened: widened.slice(0, widenedLinesMax), proposal: null }
  const previous = before === null ? null : readPrevious(stored.text, file.path, before)
  if (before === null || previous === null || findPlaceWidenings(before.vault, after.vault).length > 0)
    throw nothingToFallBackOn(before === null ? ['what was accepted last cannot be read'] : widened)
  const isSame = known !== null && known.digest === digestAccepted(after) && known.before === digestAccepted(before)
  return { config: previous, widened: [], proposal: isSame ? known : propose(file, before, start.nowMs) }
}

export function propose(file: Config, before: Accepted, nowMs: number, by: string | null = null): Proposal {
  const after = acceptedOf(file)
  return {
    v: 1,
    digest: digestAccepted(after),
    before: digestAccepted(before),
    textSha256: sha256Hex(file.text),
    text: file.text,
    widenings: findWidenings(before, after).slice(0, widenedLinesMax),
    proposedAtMs: nowMs,
    by,
    acceptances: [],
    notBeforeMs: null,
  }
}

export function readProposal(stored: string | null): Proposal | null {
  try {
    return stored === null || stored === '' ? null : proposalShape.parse(JSON.parse(stored))
  } catch {
    return null
  }
}

/** Exactly this, compared with exactly what was in force then, and its time has come. */
function isTakenOver(known: Proposal, before: Accepted, after: Accepted, nowMs: number): boolean {
  const isAccepted = known.notBeforeMs !== null && known.notBeforeMs <= nowMs
  return isAccepted && known.digest === digestAccepted(after) && known.before === digestAccepted(before)
}

/** The file that was accepted last, if it still means what was accepted: files that it names may have changed. */
function readPrevious(text: string | null, path: string, before: Accepted): Config | null {
  const read = text === null ? null : parseConfig(text, path)
  return read !== null && read.ok && findWidenings(before, acceptedOf(read.config)).length === 0 ? read.config : null
}

function nothingToFallBackOn(widenings: readonly string[]): SallyportError {
  return new SallyportError(
    'refused_by_guard',
    `The configuration gives more than what this gate last ran with:\n${widenings
      .slice(0, widenedLinesMax)
      .map((line) => `  - ${line}`)
      .join('\n')}\n`,
    'Nothing is listening; an agent that can write that file may have done it.',
    'Put the file back and start the gate. If you want this, change the file then and run `sallyport propose`: people accept it with a passkey.',
  )
}
